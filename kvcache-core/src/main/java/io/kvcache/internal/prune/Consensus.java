package io.kvcache.internal.prune;

import java.util.Arrays;

/**
 * One ranking of the tokens of a run for all layers and heads, where they have to keep the same.
 *
 * <p>It is the mean of their ranks. Scores of different heads say nothing about each other: those of a method may be
 * norms of any size, or shares of attention that in one head rests on few tokens and in another on many. Ranks have one
 * scale whatever the method, and no head has more of a say than another. On recall documents their mean was better than
 * the best rank of any head, and, over all methods, than the mean of scores divided by their sum (measured; the figures
 * are in {@code ARCHITECTURE.md}).
 *
 * <p>What every head wants first of all, with a score of infinity, comes first, and what none wants, with minus
 * infinity, is not wanted: so a mask that is the same for all stays a mask.
 */
final class Consensus {
  private Consensus() {}

  /**
   * A score for each token, to be compared with each other only.
   *
   * @param scores {@code [layer][kvHead][token]}; NaN and equal ones rank as in {@link Selection#select}
   */
  static float[] of(float[][][] scores) {
    int tokens = scores[0][0].length;
    double[] sums = new double[tokens];
    float[] least = new float[tokens];
    float[] most = new float[tokens];
    Arrays.fill(least, Float.POSITIVE_INFINITY);
    Arrays.fill(most, Float.NEGATIVE_INFINITY);
    long heads = 0;
    for (float[][] layer : scores) {
      for (float[] head : layer) {
        heads++;
        int[] ranked = Selection.ranked(head);
        for (int rank = 0; rank < tokens; rank++) {
          sums[ranked[rank]] -= rank;
        }
        for (int token = 0; token < tokens; token++) {
          float score = Float.isNaN(head[token]) ? 0 : head[token];
          least[token] = Math.min(least[token], score);
          most[token] = Math.max(most[token], score);
        }
      }
    }
    float[] consensus = new float[tokens];
    for (int token = 0; token < tokens; token++) {
      consensus[token] = least[token] == Float.POSITIVE_INFINITY ? Float.POSITIVE_INFINITY
          : most[token] == Float.NEGATIVE_INFINITY ? Float.NEGATIVE_INFINITY : (float) (sums[token] / heads);
    }
    return consensus;
  }
}
