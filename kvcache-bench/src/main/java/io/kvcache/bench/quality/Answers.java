package io.kvcache.bench.quality;

import io.kvcache.bench.model.KvState;
import io.kvcache.bench.model.Transformer;
import io.kvcache.bench.task.RecallQuestion;
import io.kvcache.bench.task.Vocabulary;
import java.util.Arrays;

/** Greedy answers to questions about the document in a state. */
public final class Answers {
  private Answers() {}

  /**
   * The answer, with its end token when there is one; the state is afterwards as it was.
   *
   * <p>Equal to generating token by token. The guess, such as the answer from exact KV, is verified in the same pass as
   * the question is read, so that it takes one pass over the KV if it is right.
   */
  public static int[] generate(Transformer transformer, KvState state, RecallQuestion question, int[] guess) {
    int document = state.length();
    int asked = question.tokens().length;
    int guessed = Math.max(0, guess.length - 1);
    int[] run = Arrays.copyOf(question.tokens(), asked + guessed);
    System.arraycopy(guess, 0, run, asked, guessed);
    float[][] logits = transformer.verify(state, run);
    int[] answer = new int[RecallQuestion.MAX_ANSWER_TOKENS];
    float[] next = logits[asked - 1];
    int length = 0;
    while (length < answer.length) {
      int token = Transformer.argmax(next);
      answer[length++] = token;
      if (token == Vocabulary.END || length == answer.length) {
        break;
      }
      if (length <= guessed && guess[length - 1] == token) {
        next = logits[asked - 1 + length];
      } else { // from here on nothing that was guessed is in the state
        guessed = 0;
        state.truncate(document + asked + length - 1);
        next = transformer.decode(state, token);
      }
    }
    state.truncate(document);
    return Arrays.copyOf(answer, length);
  }

  /** Share of the tokens of {@code exact}, by position, that {@code answer} has too. */
  public static double agreement(int[] exact, int[] answer) {
    int equal = 0;
    for (int i = 0; i < Math.min(exact.length, answer.length); i++) {
      equal += exact[i] == answer[i] ? 1 : 0;
    }
    return (double) equal / exact.length;
  }
}
