package io.kvcache.internal.prune;

import io.kvcache.Encoding;
import io.kvcache.KvLayout;
import java.util.Arrays;

/**
 * Picks the tokens that are kept of one layer of a run of chunks.
 *
 * <p>Each head ranks for itself, but within a chunk all heads keep equally many, so that what is stored stays
 * rectangular. How many a chunk may keep is decided over the run: each head's best tokens are counted chunk by chunk,
 * and the counts averaged over the heads.
 *
 * <p>A score of minus infinity says that a token is not wanted: it takes no part in the counting, so that it is kept
 * only where another head wants more tokens of the same chunk.
 */
public final class Selection {
  private Selection() {}

  /**
   * The tokens kept of each chunk of a run, by the encoding's share, in each head or uniformly.
   *
   * @param scores {@code [layer][kvHead][token]} over the run, whose tokens are whole chunks; by the encoding's method
   */
  public static Kept[] kept(KvLayout layout, float[][][] scores, Encoding encoding) {
    if (encoding.uniform()) {
      long[][][] chunks = select(new float[][] {Consensus.of(scores)}, layout.chunkTokens(),
          encoding.retainedPercent());
      return Arrays.stream(chunks).map(heads -> Kept.uniform(layout, heads[0])).toArray(Kept[]::new);
    }
    long[][][][] selected = new long[scores.length][][][];
    for (int layer = 0; layer < scores.length; layer++) {
      selected[layer] = select(scores[layer], layout.chunkTokens(), encoding.retainedPercent());
    }
    return Kept.perChunk(layout, selected);
  }

  /** Tokens that each head keeps of a run of {@code tokens}: the share, rounded down, but at least one. */
  public static int budget(int tokens, int retainedPercent) {
    return Math.max(1, (int) ((long) tokens * retainedPercent / 100));
  }

  /**
   * The tokens kept, as {@code [chunk][kvHead]} bitmaps: token {@code t} of a chunk is bit {@code t mod 64} of word
   * {@code t / 64}.
   *
   * @param scores {@code [kvHead][token]} over the run; the highest are kept, of equal ones the later token; NaN counts
   *     as the lowest finite one
   * @param chunkTokens divides the number of tokens
   * @param retainedPercent 1 to 100
   */
  public static long[][][] select(float[][] scores, int chunkTokens, int retainedPercent) {
    int tokens = scores[0].length;
    if (tokens == 0 || tokens % chunkTokens != 0) {
      throw new IllegalArgumentException(tokens + " tokens are not chunks of " + chunkTokens);
    }
    if (retainedPercent < 1 || retainedPercent > 100) {
      throw new IllegalArgumentException("retainedPercent is " + retainedPercent + ", must be 1 to 100");
    }
    int budget = budget(tokens, retainedPercent);
    int[][] ranked = new int[scores.length][];
    Arrays.setAll(ranked, head -> ranked(scores[head]));
    int[] wanted = new int[scores.length];
    Arrays.setAll(wanted, head -> Math.min(budget, wanted(scores[head])));
    int[] quotas = quotas(ranked, wanted, tokens / chunkTokens, chunkTokens);
    long[][][] kept = new long[quotas.length][scores.length][(chunkTokens + 63) / 64];
    for (int head = 0; head < scores.length; head++) {
      int[] left = quotas.clone();
      for (int token : ranked[head]) {
        int chunk = token / chunkTokens;
        if (left[chunk] > 0) {
          left[chunk]--;
          int offset = token % chunkTokens;
          kept[chunk][head][offset / 64] |= 1L << offset;
        }
      }
    }
    return kept;
  }

  /** Tokens, the one to keep first coming first: sorts keys of the score's order above, the token below. */
  static int[] ranked(float[] scores) {
    long[] keys = new long[scores.length];
    for (int token = 0; token < keys.length; token++) {
      float score = Float.isNaN(scores[token]) ? -Float.MAX_VALUE : scores[token] + 0f; // −0 equals +0
      int bits = Float.floatToRawIntBits(score);
      int ordered = bits ^ ((bits >> 31) & Integer.MAX_VALUE);
      keys[token] = (long) ordered << 32 | token;
    }
    Arrays.sort(keys);
    int[] tokens = new int[keys.length];
    Arrays.setAll(tokens, rank -> (int) keys[keys.length - 1 - rank]);
    return tokens;
  }

  /** Tokens that may be kept for their own sake. */
  private static int wanted(float[] scores) {
    int wanted = 0;
    for (float score : scores) {
      wanted += score == Float.NEGATIVE_INFINITY ? 0 : 1;
    }
    return wanted;
  }

  /**
   * How many each chunk keeps: the mean over the heads, rounded by largest remainder, of lower chunks first; their sum
   * is the mean of what the heads want, rounded up.
   */
  private static int[] quotas(int[][] ranked, int[] wanted, int chunks, int chunkTokens) {
    int heads = ranked.length;
    int[] sums = new int[chunks];
    int left = (int) ((Arrays.stream(wanted).asLongStream().sum() + heads - 1) / heads);
    for (int head = 0; head < heads; head++) {
      for (int rank = 0; rank < wanted[head]; rank++) {
        sums[ranked[head][rank] / chunkTokens]++;
      }
    }
    int[] quotas = new int[chunks];
    long[] remainders = new long[chunks];
    for (int chunk = 0; chunk < chunks; chunk++) {
      quotas[chunk] = sums[chunk] / heads;
      left -= quotas[chunk];
      remainders[chunk] = (long) -(sums[chunk] % heads) << 32 | chunk;
    }
    Arrays.sort(remainders);
    for (int i = 0; i < left; i++) {
      quotas[(int) remainders[i]]++;
    }
    return quotas;
  }
}
