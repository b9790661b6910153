package io.kvcache.bench.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class CheckpointTest {
  private static final ModelConfig SMALL = new ModelConfig(16, 24, 2, 4, 2, 20, 32, false);

  @TempDir
  Path directory;

  @Test
  void readsWhatWasWritten() throws IOException {
    for (ModelConfig config : new ModelConfig[] {Models.ODD, Models.RECALL}) { // separate and tied output
      ModelWeights written = ModelWeights.random(config, 1);
      byte[] bytes = Models.checkpoint(written);
      Path file = Files.write(directory.resolve("model.bin"), bytes);
      int[] tokens = Models.tokens(config, 40, 2);
      float[] expected = logits(written, tokens);
      assertArrayEquals(expected, logits(ModelWeights.read(file), tokens), 0f);
      ModelWeights streamed = ModelWeights.read(new ByteArrayInputStream(bytes), "stream");
      assertEquals(config, streamed.config());
      assertArrayEquals(expected, logits(streamed, tokens), 0f);
    }
  }

  @Test
  void refusesWrongLengths() {
    byte[] good = Models.checkpoint(ModelWeights.random(SMALL, 1));
    refused(new byte[0], "it has 0 bytes, a header has 28");
    refused(Arrays.copyOf(good, 27), "it has 27 bytes, a header has 28");
    refused(Arrays.copyOf(good, 28), "it has 28 bytes, its header calls for " + good.length);
    refused(Arrays.copyOf(good, good.length - 1), (good.length - 1) + " bytes");
    refused(Arrays.copyOf(good, good.length + 1), (good.length + 1) + " bytes");
  }

  /** Every field with a value outside its limits; sizes this large must not be allocated first. */
  @ParameterizedTest
  @CsvSource(delimiter = '|', value = {
    "0 | 0           | width is 0, must be 1 to 16384",
    "0 | -64         | width is -64",
    "0 | 2147483647  | width is 2147483647",
    "0 | 20          | width is 20, must be a multiple of 2 x heads",
    "1 | 65537       | hidden is 65537, must be 1 to 65536",
    "2 | -1          | layers is -1, must be 1 to 1024",
    "3 | 0           | heads is 0, must be 1 to 1024",
    "4 | 3           | heads is 4, must be a multiple of kvHeads = 3",
    "4 | 5           | kvHeads is 5, must be 1 to 4",
    "5 | 0           | vocabulary is 0",
    "5 | -2147483648 | vocabulary is -2147483648, must be 1 to 1048576",
    "6 | 0           | context is 0, must be 1 to 1048576",
    "2 | 1000        | its header calls for",
    "5 | 1000000     | its header calls for",
  })
  void refusesAbsurdHeaders(int field, int value, String message) {
    byte[] bytes = Models.checkpoint(ModelWeights.random(SMALL, 1));
    ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putInt(4 * field, value);
    refused(bytes, message);
  }

  @Test
  void refusesWeightsThatAreNoNumbers() {
    byte[] bytes = Models.checkpoint(ModelWeights.random(SMALL, 1));
    ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putFloat(128, Float.NaN);
    refused(bytes, "the weight at byte 128 is NaN");
  }

  @Test
  void missingFileIsAnIoException() {
    assertThrows(IOException.class, () -> ModelWeights.read(directory.resolve("none.bin")));
  }

  private void refused(byte[] bytes, String message) {
    var fromStream = assertThrows(
        IOException.class, () -> ModelWeights.read(new ByteArrayInputStream(bytes), "upload"));
    assertTrue(fromStream.getMessage().startsWith("upload is no model: "), fromStream.getMessage());
    assertTrue(fromStream.getMessage().contains(message), fromStream.getMessage());
    var fromFile = assertThrows(IOException.class,
        () -> ModelWeights.read(Files.write(directory.resolve("bad.bin"), bytes)));
    assertTrue(fromFile.getMessage().contains(message), fromFile.getMessage());
  }

  private static float[] logits(ModelWeights weights, int[] tokens) {
    try (Transformer model = new Transformer(weights, 1); KvState state = model.newState(tokens.length)) {
      return model.prefill(state, tokens);
    }
  }
}
