package io.kvcache.internal.quality;

import java.util.Arrays;

/**
 * Attention of a few queries at once. Queries and outputs are [dim][query], so that the inner loops run over queries,
 * which the JIT compiler vectorises; a loop over the dimensions of one query would be a sum, which it does not.
 */
final class Attention {
  /** Beyond this a weight does not count. */
  private static final float EXP_LIMIT = 32;

  private Attention() {}

  /** The products of all keys with all queries, [key][query]. */
  static float[][] scores(float[][] queries, float[][] keys) {
    float[][] scores = new float[keys.length][queries[0].length];
    for (int key = 0; key < keys.length; key++) {
      add(scores[key], keys[key], queries);
    }
    return scores;
  }

  /** What each query reads: the mean of the values, weighted with e to the power of its scores. [dim][query]. */
  static float[][] outputs(float[][] queries, float[][] keys, float[][] values) {
    int count = queries[0].length;
    float[][] weights = scores(queries, keys);
    float[] max = new float[count];
    Arrays.fill(max, Float.NEGATIVE_INFINITY);
    for (float[] row : weights) {
      for (int query = 0; query < count; query++) {
        max[query] = Math.max(max[query], row[query]);
      }
    }
    float[] sum = new float[count];
    float[][] outputs = new float[values[0].length][count];
    for (int key = 0; key < keys.length; key++) {
      float[] row = weights[key];
      exp(row, max);
      for (int query = 0; query < count; query++) {
        sum[query] += row[query];
      }
      float[] value = values[key];
      for (int d = 0; d < value.length; d++) {
        addScaled(outputs[d], row, value[d]);
      }
    }
    for (float[] output : outputs) {
      for (int query = 0; query < count; query++) {
        output[query] /= sum[query];
      }
    }
    return outputs;
  }

  /** Adds the product of the factors and the rows, four rows at a time to save loads and stores of the sums. */
  private static void add(float[] sums, float[] factors, float[][] rows) {
    int i = 0;
    for (; i + 4 <= factors.length; i += 4) {
      float f0 = factors[i];
      float f1 = factors[i + 1];
      float f2 = factors[i + 2];
      float f3 = factors[i + 3];
      float[] r0 = rows[i];
      float[] r1 = rows[i + 1];
      float[] r2 = rows[i + 2];
      float[] r3 = rows[i + 3];
      for (int j = 0; j < sums.length; j++) {
        sums[j] = sums[j] + f0 * r0[j] + f1 * r1[j] + f2 * r2[j] + f3 * r3[j];
      }
    }
    for (; i < factors.length; i++) {
      addScaled(sums, rows[i], factors[i]);
    }
  }

  private static void addScaled(float[] sums, float[] row, float factor) {
    for (int j = 0; j < sums.length; j++) {
      sums[j] += row[j] * factor;
    }
  }

  /** {@code row = e^(row − max)} as (e^(x/64))^64, which vectorises; off by less than a ten-thousandth. */
  private static void exp(float[] row, float[] max) {
    for (int j = 0; j < row.length; j++) {
      float y = Math.max(-EXP_LIMIT, row[j] - max[j]) * (1f / 64);
      float p = 1f + y * (1f + y * (1f / 2 + y * (1f / 6 + y * (1f / 24 + y * (1f / 120)))));
      p *= p;
      p *= p;
      p *= p;
      p *= p;
      p *= p;
      row[j] = p * p;
    }
  }
}
