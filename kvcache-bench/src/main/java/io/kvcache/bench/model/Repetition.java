package io.kvcache.bench.model;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;

/**
 * The attention that a prompt's KV receives while the model reads the prompt once more behind it: what KVzip scores
 * tokens by (Kim et al., 2025; kvpress's {@code KVzipPress}).
 *
 * <p>A long prompt is repeated piece by piece, each behind the prompt alone and led in by the eight tokens before it,
 * so that the model knows where it is. There the original asks in words; a model that was not trained on any
 * understands the lead alone. Attention is spread over the whole prompt and what was repeated so far, where kvpress
 * leaves out what belongs to other pieces to save time.
 */
public final class Repetition {
  /** The most tokens repeated at once, as in the paper. */
  private static final int MAX_PIECE = 2048;

  /** Tokens that lead in a piece, as in kvpress. */
  private static final int LEAD = 8;

  /** Fewer than this say nothing that their lead does not. */
  private static final int MIN_PIECE = 16;

  private Repetition() {}

  /**
   * The greatest weight that any repeated token gave each token, [layer][kvHead][token], over all query heads of a KV
   * head.
   *
   * @param state the dense state of exactly the prompt, which stays as it is
   * @param prompt shorter by at least 24 tokens than the model's context
   */
  public static float[][][] attention(Transformer transformer, KvState state, int... prompt) {
    int tokens = prompt.length;
    int room = transformer.config().context() - tokens - LEAD;
    if (tokens != state.length() || tokens == 0 || room < MIN_PIECE) {
      throw new IllegalArgumentException("a prompt of " + tokens + " tokens, the state has " + state.length()
          + ", the model room for " + transformer.config().context());
    }
    AttentionScores scores = AttentionScores.greatest();
    int piece = Math.min(Math.min(MAX_PIECE, room), tokens);
    try (KvState again = transformer.newState(tokens + LEAD + piece)) {
      copy(state, again);
      for (int from = 0; from < tokens; from += piece) {
        int[] repeated =
            Arrays.copyOfRange(prompt, Math.max(0, from - LEAD), Math.min(tokens, from + piece));
        transformer.prefill(again, new PrefillNotes(List.of(scores), null), repeated);
        again.truncate(tokens);
      }
    }
    float[][][] mass = scores.mass();
    for (float[][] heads : mass) {
      for (int head = 0; head < heads.length; head++) {
        heads[head] = Arrays.copyOf(heads[head], tokens); // without the repeated ones
      }
    }
    return mass;
  }

  private static void copy(KvState from, KvState to) {
    long bytes = (long) from.length() * from.rowBytes();
    for (int layer = 0; layer < from.config().layers(); layer++) {
      MemorySegment.copy(from.keys(layer), 0, to.keys(layer), 0, bytes);
      MemorySegment.copy(from.values(layer), 0, to.values(layer), 0, bytes);
    }
    to.restored(from.length());
  }
}
