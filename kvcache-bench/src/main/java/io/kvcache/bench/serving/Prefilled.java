package io.kvcache.bench.serving;

import io.kvcache.TokenScores;
import io.kvcache.bench.model.KvState;
import io.kvcache.bench.task.RecallDocument;
import io.kvcache.bench.task.RecallQuestion;
import java.util.List;

/**
 * A document that the engine has read: its exact KV, and how much its tokens matter.
 *
 * <p>Its questions are split: those of {@link #training} may be used to find out what an encoding does to answers,
 * those of {@link #unseen} only to report how answers came out. The state belongs to this record.
 *
 * @param document what was read
 * @param state its KV, with room for a question and its answer behind
 * @param scores of its tokens
 * @param training questions that quality may be measured by, at least one where there are two
 * @param unseen all others, at least one
 */
public record Prefilled(RecallDocument document, KvState state, TokenScores scores,
    List<RecallQuestion> training,
    List<RecallQuestion> unseen) implements AutoCloseable {
  static Prefilled of(RecallDocument document, KvState state, TokenScores scores, int mostTraining) {
    List<RecallQuestion> all = document.questions();
    int training = Math.min(mostTraining, all.size() - 1);
    int split = all.size() - training;
    return new Prefilled(document, state, scores, all.subList(split, all.size()), all.subList(0, split));
  }

  /** Tokens of the document. */
  public int tokens() {
    return document.tokens().length;
  }

  @Override
  public void close() {
    state.close();
  }
}
