package io.kvcache.bench.task;

import java.io.BufferedOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Writes examples to standard output for the training script, which reads them through a pipe.
 *
 * <p>One example is a document with some of its questions and their answers, as little-endian values:
 * int32 kind, int32 n, then four int16 arrays of length n: tokens; positions; branches; and 1 where
 * the token is to be predicted, else 0. Branch 0 is seen by every later token, branch b &gt; 0 by its
 * own tokens only. So in a <em>branched</em> example every question directly follows the document, and
 * in a <em>chained</em> one, which has branch 0 only, it follows the questions and answers before it.
 */
public final class TrainingStream {
  private final DocumentGenerator generator;
  private final List<DocumentKind> kinds;
  private final int maxQuestions;
  private final double chainedShare;
  private final OutputStream out;

  TrainingStream(
      DocumentSize size,
      List<DocumentKind> kinds,
      int maxQuestions,
      double chainedShare,
      OutputStream out) {
    this.generator = new DocumentGenerator(size);
    this.kinds = kinds;
    this.maxQuestions = maxQuestions;
    this.chainedShare = chainedShare;
    this.out = out;
  }

  /**
   * Arguments: first seed, number of examples, shortest and longest document in tokens, most questions
   * per document, share of chained examples (0 to 1), and the kinds, separated by commas. Or the one
   * argument {@code vocabulary}, which prints the words in the order of their ids.
   */
  public static void main(String[] args) throws IOException {
    if (args.length == 1 && args[0].equals("vocabulary")) {
      for (int token = 0; token < Vocabulary.size(); token++) {
        System.out.println(Vocabulary.word(token));
      }
      return;
    }
    if (args.length != 7) {
      System.err.println(
          "usage: TrainingStream SEED EXAMPLES MIN_TOKENS MAX_TOKENS QUESTIONS CHAINED_SHARE KINDS"
              + " | TrainingStream vocabulary");
      System.exit(2);
    }
    long seed = Long.parseLong(args[0]);
    long examples = Long.parseLong(args[1]);
    DocumentSize size = new DocumentSize(Integer.parseInt(args[2]), Integer.parseInt(args[3]));
    List<DocumentKind> kinds =
        Arrays.stream(args[6].split(",")).map(DocumentKind::valueOf).toList();
    // Not System.out, which hides that nobody reads any more.
    try (OutputStream out = new BufferedOutputStream(new FileOutputStream(FileDescriptor.out), 1 << 16)) {
      new TrainingStream(
          size, kinds, Integer.parseInt(args[4]), Double.parseDouble(args[5]), out)
          .write(seed, examples);
    }
  }

  /** Writes the examples of {@code examples} seeds from {@code firstSeed} on, kind after kind. */
  void write(long firstSeed, long examples) throws IOException {
    for (long i = 0; i < examples; i++) {
      DocumentKind kind = kinds.get((int) (i % kinds.size()));
      boolean chained = new SplittableRandom(~(firstSeed + i)).nextDouble() < chainedShare;
      write(generator.generate(kind, firstSeed + i), chained);
    }
  }

  private void write(RecallDocument document, boolean chained) throws IOException {
    List<short[]> rows = new ArrayList<>();
    int position = 0;
    for (int token : document.tokens()) {
      rows.add(row(token, position++, 0, false));
    }
    int branch = 0;
    int questions = Math.min(maxQuestions, document.questions().size());
    for (RecallQuestion question : document.questions().subList(0, questions)) {
      if (!chained) {
        branch++;
        position = document.tokens().length;
      }
      for (int token : question.tokens()) {
        rows.add(row(token, position++, branch, false));
      }
      for (int token : question.answer()) {
        rows.add(row(token, position++, branch, true));
      }
      rows.add(row(Vocabulary.END, position++, branch, true));
    }
    ByteBuffer buffer =
        ByteBuffer.allocate(8 + rows.size() * 8)
            .order(ByteOrder.LITTLE_ENDIAN)
            .putInt(document.kind().ordinal())
            .putInt(rows.size());
    for (int column = 0; column < 4; column++) {
      for (short[] row : rows) {
        buffer.putShort(row[column]);
      }
    }
    out.write(buffer.array());
  }

  private static short[] row(int token, int position, int branch, boolean predicted) {
    return new short[] {(short) token, (short) position, (short) branch, (short) (predicted ? 1 : 0)};
  }
}
