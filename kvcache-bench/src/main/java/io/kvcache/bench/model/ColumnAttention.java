package io.kvcache.bench.model;

import java.util.Arrays;
import java.util.List;

/**
 * Attention of a block of queries, all at once: scores are [entry][query], so that every step, softmax
 * included, is a loop over queries. Scores are kept for all entries rather than rescaled on the way (as
 * FlashAttention does): the result then depends on the entries alone, not on where they are cut.
 *
 * <p>Holds the scratch memory of one thread.
 */
final class ColumnAttention {
  /** Entries whose weights stay in the L1 cache between exponential and weighted sum. */
  private static final int TILE = 32;

  private final ModelConfig config;
  private final float[][] keys;
  private final float[][] valuesByDim;
  private final float[][] weights;
  private final float[] max;
  private final float[] inverse;
  private int entries;

  ColumnAttention(ModelConfig config, int columns, int maxEntries) {
    this.config = config;
    keys = new float[maxEntries][config.headDim()];
    valuesByDim = new float[config.headDim()][maxEntries];
    weights = new float[maxEntries][columns];
    max = new float[columns];
    inverse = new float[columns];
  }

  /** Takes in the entries of one head up to position {@code end}, where the block of queries ends. */
  void load(KvState state, int layer, int kvHead, int end) {
    entries = state.entries(layer, kvHead, end);
    state.readKeys(layer, kvHead, end,
        (block, offset, stride, rows, first) -> state.element().widen(block, offset, stride, rows, keys,
            first));
    state.readValues(layer, kvHead, end,
        (block, offset, stride, rows, first) -> state.element().widenTransposed(block,
            offset, stride, rows, valuesByDim, first));
  }

  /**
   * Attends with all queries of the loaded head's group; the last query sees all entries, the one before all
   * but one, and so on.
   *
   * @param queries [width][columns], scaled
   * @param attended [width][columns]; the group's part is overwritten
   * @param position of the first column's token
   * @param scores what is wanted of the attention that is paid
   * @return for each of the scores the attention per entry; null if no column counts
   */
  float[][] attend(int kvHead, float[][] queries, float[][] attended, int columns, int position,
      List<AttentionScores> scores) {
    int[] firstRecorded = scores.stream().mapToInt(all -> Math.max(0, all.fromQuery() - position)).toArray();
    float[][] mass = new float[firstRecorded.length][];
    Arrays.setAll(mass, which -> firstRecorded[which] < columns ? new float[entries] : null);
    for (int i = 0; i < config.group(); i++) {
      int offset = (kvHead * config.group() + i) * config.headDim();
      score(queries, offset, columns);
      sumValues(attended, offset, columns);
      for (int which = 0; which < mass.length; which++) {
        if (mass[which] != null) {
          record(scores.get(which), mass[which], firstRecorded[which], columns);
        }
      }
    }
    return mass;
  }

  /** Columns that do not see an entry: those before its own, if it is one of the block's. */
  private int blindColumns(int entry, int columns) {
    return Math.max(0, entry - (entries - columns));
  }

  private void score(float[][] queries, int offset, int columns) {
    Arrays.fill(max, Float.NEGATIVE_INFINITY);
    for (int p = 0; p < entries; p++) {
      float[] row = weights[p];
      Arrays.fill(row, 0, columns, 0);
      Kernels.accumulate(row, columns, keys[p], 0, queries, offset, config.headDim());
      Arrays.fill(row, 0, blindColumns(p, columns), Float.NEGATIVE_INFINITY);
      Kernels.maximum(max, row, columns);
    }
  }

  private void sumValues(float[][] attended, int offset, int columns) {
    Arrays.fill(inverse, 0);
    for (int d = 0; d < config.headDim(); d++) {
      Arrays.fill(attended[offset + d], 0, columns, 0);
    }
    for (int tile = 0; tile < entries; tile += TILE) {
      int count = Math.min(TILE, entries - tile);
      for (int p = tile; p < tile + count; p++) {
        Kernels.expMinus(weights[p], max, columns);
        Arrays.fill(weights[p], 0, blindColumns(p, columns), 0); // exactly: adding 0 changes no bit
        Kernels.add(inverse, weights[p], columns);
      }
      for (int d = 0; d < config.headDim(); d++) {
        Kernels.accumulate(attended[offset + d], columns, valuesByDim[d], tile, weights, tile, count);
      }
    }
    for (int j = 0; j < columns; j++) {
      inverse[j] = 1 / inverse[j];
    }
    for (int d = 0; d < config.headDim(); d++) {
      Kernels.multiply(attended[offset + d], inverse, columns);
    }
  }

  private void record(AttentionScores scores, float[] mass, int firstRecorded, int columns) {
    for (int p = 0; p < entries; p++) {
      for (int j = firstRecorded; j < columns; j++) {
        mass[p] = scores.merged(mass[p], weights[p][j] * inverse[j]);
      }
    }
  }
}
