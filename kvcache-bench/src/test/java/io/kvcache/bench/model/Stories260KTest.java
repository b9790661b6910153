package io.kvcache.bench.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Golden values of a published model, computed by an independent float32 implementation. */
class Stories260KTest {
  private static final String TEXT = "Once upon a time, there was a brave cat named Tom.";
  private static final int[] ENCODED = {
    403, 407, 261, 378, 432, 383, 286, 261, 268, 420, 412, 360, 280, 294, 395, 274, 287, 426
  };
  private static final float[] LOGITS = {-6.76800f, 6.20587f, -6.76953f, -6.76774f, -6.76682f, -6.76900f};
  private static final float[] FIRST_KEY = {
    -0.30671f, -0.73156f, 0.56442f, -0.88139f, -1.58613f, -4.40029f, 8.63796f, 0.40448f
  };

  private ModelWeights weights;
  private Tokenizer tokenizer;

  @BeforeEach
  void open() throws IOException {
    Path models = Path.of(System.getProperty("kvcache.shared", "../../shared/data"), "models");
    Path model = models.resolve("stories260K.bin");
    if (!Files.exists(model)) {
      System.out.println("NOTICE: Stories260KTest is skipped, there is no " + model.toAbsolutePath()
          + " (set -Dkvcache.shared)");
    }
    Assumptions.assumeTrue(Files.exists(model), model + " is missing");
    weights = ModelWeights.read(model);
    tokenizer = Tokenizer.read(models.resolve("tok512.bin"), weights.config().vocabulary());
  }

  @Test
  void encodesAndDecodes() {
    assertArrayEquals(ENCODED, tokenizer.encode(TEXT));
    assertEquals(TEXT, tokenizer.decode(ENCODED));
    String odd = "Zoë said: \"1 € > 7\"\n\t😀";
    assertEquals(odd, tokenizer.decode(tokenizer.encode(odd)));
  }

  @Test
  void refusesOtherVocabularies(@TempDir Path directory) throws IOException {
    Path file = Path.of(System.getProperty("kvcache.shared", "../../shared/data"), "models", "tok512.bin");
    assertThrows(IOException.class, () -> Tokenizer.read(file, 511));
    assertThrows(IOException.class, () -> Tokenizer.read(file, 513));
    byte[] bytes = Files.readAllBytes(file);
    bytes[11] = 0x7f; // the length of the first token
    Path bad = Files.write(directory.resolve("bad.bin"), bytes);
    assertThrows(IOException.class, () -> Tokenizer.read(bad, 512));
  }

  /** Goal: the model is the published one. Method: the twin, unrounded, against the golden values. */
  @Test
  void unroundedTwinMatchesGoldenValues() {
    ScalarTwin twin = new ScalarTwin(weights, false, ScalarTwin.CAUSAL);
    float[] logits = twin.run(prompt())[ENCODED.length];
    assertArrayEquals(LOGITS, Arrays.copyOf(logits, LOGITS.length), 1e-3f);
    assertArrayEquals(FIRST_KEY, Arrays.copyOf(twin.keys.get(0).get(0), FIRST_KEY.length), 1e-4f);
    assertEquals(274, Transformer.argmax(logits));
  }

  /** Goal: the engine differs from float32 by the rounding of K and V alone: it is its twin, to the bit. */
  @Test
  void engineEqualsRoundedTwin() {
    float[][] expected = new ScalarTwin(weights, true, ScalarTwin.CAUSAL).run(prompt());
    try (Transformer model = new Transformer(weights); KvState state = model.newState(64)) {
      float[][] actual = model.verify(state, prompt());
      for (int i = 0; i < expected.length; i++) {
        assertArrayEquals(expected[i], actual[i], 0f, "token " + i);
      }
    }
  }

  /** Rounding to 8 significant bits changes each element of K and V by up to 2^-8 of its value. */
  @Test
  void engineStaysCloseToGoldenValues() {
    try (Transformer model = new Transformer(weights); KvState state = model.newState(64)) {
      float[] logits = model.prefill(state, prompt());
      assertArrayEquals(LOGITS, Arrays.copyOf(logits, LOGITS.length), 0.05f);
      assertEquals(274, Transformer.argmax(logits));
      ValueLayout.OfShort bf16 = ValueLayout.JAVA_SHORT.withOrder(ByteOrder.LITTLE_ENDIAN);
      for (int i = 0; i < FIRST_KEY.length; i++) {
        float key = Bf16.widen(state.keys(0).getAtIndex(bf16, i));
        assertEquals(FIRST_KEY[i], key, Math.abs(FIRST_KEY[i]) / 256);
      }
    }
  }

  @Test
  void generatesGoldenTokens() {
    int[] golden = {
      403, 407, 261, 378, 432, 383, 286, 261, 376, 298, 315, 421, 395, 317, 426, 338
    };
    try (Transformer model = new Transformer(weights); KvState state = model.newState(64)) {
      float[] logits = model.prefill(state, Tokenizer.BOS);
      assertArrayEquals(golden, model.generate(state, logits, golden.length, -1));
    }
  }

  private static int[] prompt() {
    return IntStream.concat(IntStream.of(Tokenizer.BOS), IntStream.of(ENCODED)).toArray();
  }
}
