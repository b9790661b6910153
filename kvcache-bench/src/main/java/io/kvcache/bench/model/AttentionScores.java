package io.kvcache.bench.model;

import java.util.Arrays;

/**
 * Attention received per layer, KV head and key position, from query tokens and the query heads that share the KV head:
 * the scores token dropping needs. Either all of it, to which every query token adds 1 per query head, or the most that
 * came from any one of them.
 *
 * <p>Pass the same object to several {@code prefill} calls to keep accumulating. Values do not depend on the
 * number of threads; how a prompt is split may change their last bits. Threads: one call at a time.
 */
public final class AttentionScores {
  private final int fromQuery;
  private final boolean greatest;
  private float[][][] mass;
  private int length;

  private AttentionScores(int fromQuery, boolean greatest) {
    this.fromQuery = fromQuery;
    this.greatest = greatest;
  }

  /** Sums over all queries, as H2O does. */
  public static AttentionScores cumulative() {
    return new AttentionScores(0, false);
  }

  /**
   * Sums over the queries at this position and later: for SnapKV's observation window of w tokens at the end
   * of a prompt, {@code prompt.length - w}.
   */
  public static AttentionScores ofQueriesFrom(int position) {
    if (position < 0) {
      throw new IllegalArgumentException("position is " + position + ", must be 0 or more");
    }
    return new AttentionScores(position, false);
  }

  /** Takes the greatest weight over all queries and query heads, as KVzip does. */
  public static AttentionScores greatest() {
    return new AttentionScores(0, true);
  }

  /** A copy, [layer][kvHead][position] for all positions so far; dropped positions hold what they had. */
  public float[][][] mass() {
    if (mass == null) {
      return new float[0][][];
    }
    float[][][] copy = new float[mass.length][mass[0].length][];
    for (int layer = 0; layer < copy.length; layer++) {
      for (int head = 0; head < copy[layer].length; head++) {
        copy[layer][head] = Arrays.copyOf(mass[layer][head], length);
      }
    }
    return copy;
  }

  /** The first query position that counts. */
  int fromQuery() {
    return fromQuery;
  }

  /** Makes room for positions up to {@code end}. */
  void grow(ModelConfig config, int end) {
    if (mass == null) {
      mass = new float[config.layers()][config.kvHeads()][0];
    }
    if (mass.length != config.layers() || mass[0].length != config.kvHeads()) {
      throw new IllegalArgumentException("scores of " + mass.length + " layers and " + mass[0].length
          + " KV heads, the model has " + config.layers() + " and " + config.kvHeads());
    }
    length = Math.max(length, end);
    for (float[][] heads : mass) {
      for (int head = 0; head < heads.length; head++) {
        if (heads[head].length < length) {
          heads[head] = Arrays.copyOf(heads[head], Math.max(length, 2 * heads[head].length));
        }
      }
    }
  }

  /** Takes the weights that some queries gave together into what others gave before. */
  float merged(float before, float weight) {
    return greatest ? Math.max(before, weight) : before + weight;
  }

  /** Takes in {@code weights[entry]} at {@code positions[entry]} for every entry of {@code weights}. */
  void add(int layer, int kvHead, int[] positions, float[] weights) {
    float[] target = mass[layer][kvHead];
    for (int entry = 0; entry < weights.length; entry++) {
      target[positions[entry]] = merged(target[positions[entry]], weights[entry]);
    }
  }
}
