package io.kvcache.bench.task;

import java.util.Arrays;

/**
 * A question about a document and its one right answer. The arrays belong to the record: do not
 * change them.
 *
 * @param tokens from {@link Vocabulary#QUESTION} to {@link Vocabulary#ANSWER}, to be appended to the
 *     document
 * @param answer 1 to 6 tokens, without the {@link Vocabulary#END} that follows them
 */
public record RecallQuestion(int[] tokens, int[] answer) {
  /** The longest answer of any kind, in tokens, with its end token. */
  public static final int MAX_ANSWER_TOKENS = 7;

  /** Whether greedily generated tokens are the answer followed by {@link Vocabulary#END}. */
  public boolean isAnsweredBy(int... generated) {
    return generated.length > answer.length
        && Arrays.mismatch(answer, generated) == answer.length
        && generated[answer.length] == Vocabulary.END;
  }
}
