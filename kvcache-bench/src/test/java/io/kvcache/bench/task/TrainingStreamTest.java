package io.kvcache.bench.task;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

class TrainingStreamTest {
  private static final DocumentSize SIZE = new DocumentSize(60, 120);
  private static final int QUESTIONS = 3;

  @Test
  void branchedQuestionsDirectlyFollowTheDocument() throws IOException {
    RecallDocument document = new DocumentGenerator(SIZE).generate(DocumentKind.LOG, 5);
    Example example = example(DocumentKind.LOG, 5, 0);
    int at = assertBeginsWith(document, example);
    int branch = 0;
    for (RecallQuestion question : document.questions().subList(0, 2)) {
      branch++;
      int length = question.tokens().length + question.answer().length + 1;
      for (int i = 0; i < length; i++) {
        assertEquals(document.tokens().length + i, example.positions[at + i]);
        assertEquals(branch, example.branches[at + i]);
      }
      at = assertAsks(question, example, at);
    }
  }

  @Test
  void chainedQuestionsFollowEachOther() throws IOException {
    RecallDocument document = new DocumentGenerator(SIZE).generate(DocumentKind.LEDGER, 9);
    Example example = example(DocumentKind.LEDGER, 9, 1);
    int at = assertBeginsWith(document, example);
    for (RecallQuestion question : document.questions().subList(0, QUESTIONS)) {
      at = assertAsks(question, example, at);
    }
    assertEquals(at, example.tokens.length);
    for (int i = 0; i < example.tokens.length; i++) {
      assertEquals(i, example.positions[i]);
      assertEquals(0, example.branches[i]);
    }
  }

  private static int assertBeginsWith(RecallDocument document, Example example) {
    int length = document.tokens().length;
    for (int i = 0; i < length; i++) {
      assertEquals(document.tokens()[i], example.tokens[i]);
      assertEquals(i, example.positions[i]);
      assertEquals(0, example.branches[i]);
      assertEquals(0, example.predicted[i]);
    }
    return length;
  }

  private static int assertAsks(RecallQuestion question, Example example, int start) {
    int at = start;
    for (int token : question.tokens()) {
      assertEquals(token, example.tokens[at]);
      assertEquals(0, example.predicted[at++]);
    }
    for (int token : question.answer()) {
      assertEquals(token, example.tokens[at]);
      assertEquals(1, example.predicted[at++]);
    }
    assertEquals(Vocabulary.END, example.tokens[at]);
    assertEquals(1, example.predicted[at++]);
    return at;
  }

  private static Example example(DocumentKind kind, long seed, double chainedShare)
      throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    new TrainingStream(SIZE, List.of(kind), QUESTIONS, chainedShare, bytes).write(seed, 2);
    ByteBuffer buffer = ByteBuffer.wrap(bytes.toByteArray()).order(ByteOrder.LITTLE_ENDIAN);
    Example first = new Example(buffer);
    Example second = new Example(buffer);
    assertFalse(buffer.hasRemaining());
    assertEquals(kind.ordinal(), first.kind);
    assertEquals(kind.ordinal(), second.kind);
    int[] next = new DocumentGenerator(SIZE).generate(kind, seed + 1).tokens();
    assertArrayEquals(next, Arrays.copyOf(second.tokens, next.length));
    return first;
  }

  private static final class Example {
    final int kind;
    final int[] tokens;
    final int[] positions;
    final int[] branches;
    final int[] predicted;

    Example(ByteBuffer buffer) {
      kind = buffer.getInt();
      int length = buffer.getInt();
      tokens = shorts(buffer, length);
      positions = shorts(buffer, length);
      branches = shorts(buffer, length);
      predicted = shorts(buffer, length);
    }

    private static int[] shorts(ByteBuffer buffer, int length) {
      int[] values = new int[length];
      for (int i = 0; i < length; i++) {
        values[i] = buffer.getShort();
      }
      return values;
    }
  }
}
