package io.kvcache.bench.model;

import java.util.List;

/**
 * What a prefill notes down on the way, besides keys and values.
 *
 * @param attention filled with the attention that the tokens pay; may be empty
 * @param queries filled with their queries; null for none
 */
public record PrefillNotes(List<AttentionScores> attention, PromptQueries queries) {
  /** Nothing. */
  static final PrefillNotes NONE = new PrefillNotes(List.of(), null);

  /** Copies the list. */
  public PrefillNotes {
    attention = List.copyOf(attention);
  }

  /** Makes room for positions from {@code start} up to {@code end}. */
  void grow(ModelConfig config, int start, int end) {
    attention.forEach(scores -> scores.grow(config, end));
    if (queries != null) {
      queries.grow(config, start, end);
    }
  }
}
