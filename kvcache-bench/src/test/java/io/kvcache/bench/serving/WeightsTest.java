package io.kvcache.bench.serving;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.bench.Invocation;
import io.kvcache.bench.task.DocumentGenerator;
import io.kvcache.bench.task.DocumentKind;
import io.kvcache.bench.task.DocumentSize;
import io.kvcache.bench.task.RecallDocument;
import io.kvcache.bench.task.RecallQuestion;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class WeightsTest {
  private static final int DOCUMENTS = 200;

  @TempDir
  private Path directory;

  /** A checkpoint of the smallest model there can be, all weights 0. */
  private Path model(int vocabulary, int context) throws IOException {
    int floats = 2 * vocabulary + 6 + 22 + 2 * context;
    ByteBuffer bytes = ByteBuffer.allocate(28 + 4 * floats).order(ByteOrder.LITTLE_ENDIAN);
    for (int field : new int[] {2, 1, 1, 1, 1, vocabulary, context}) {
      bytes.putInt(field);
    }
    return Files.write(directory.resolve("small.bin"), bytes.array());
  }

  @ParameterizedTest
  @ValueSource(strings = {"demo", "placement-study", "sensitivity"})
  void aModelTooSmallForTheDocumentsIsRefusedWithTheLimit(String command) throws IOException {
    Invocation bench = new Invocation();
    assertEquals(1, bench.run(command, "--model", model(512, 2063).toString()), bench::err);
    assertTrue(
        bench.err().endsWith("small.bin has a context of 2063 tokens, documents with questions need 2064\n"),
        bench::err);
    assertEquals(1, bench.run(command, "--model", model(100, 2064).toString()), bench::err);
    assertTrue(bench.err().contains("small.bin has a vocabulary of 100 tokens"), bench::err);
  }

  /** Goal: no question finds the context full. Method: all those about many documents of each kind. */
  @Test
  void thereIsRoomForEveryQuestion() {
    DocumentGenerator generator = new DocumentGenerator(DocumentSize.STANDARD);
    for (DocumentKind kind : DocumentKind.values()) {
      for (int seed = 0; seed < DOCUMENTS; seed++) {
        RecallDocument document = generator.generate(kind, seed);
        for (RecallQuestion question : document.questions()) {
          int tokens = question.tokens().length + RecallQuestion.MAX_ANSWER_TOKENS;
          assertTrue(tokens <= CachedModel.ROOM_FOR_QUESTION, tokens + " tokens, " + kind + ", seed " + seed);
        }
      }
    }
  }
}
