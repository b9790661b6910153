package io.kvcache.bench.model;

/**
 * The inner loops.
 *
 * <p>Written so that C2 vectorises them: loops start at 0, all arrays are indexed by the loop variable alone,
 * and each loop stores to one array. (Measured: with a start that is a variable, or with a second store, C2
 * gives up, and the loop runs at a quarter of its speed.) Only the order of operations on one output element
 * matters for its bits, so that scalar and vectorised runs agree.
 */
final class Kernels {
  static final float RMS_EPSILON = 1e-5f;

  /** Beyond this, {@link #exp} is constant; e^-32 is far below one float ulp of a softmax sum (>= 1). */
  private static final float EXP_LIMIT = 32;

  private Kernels() {}

  /**
   * The one matrix kernel: {@code out[j] += sum over i of scale[at + i] * rows[first + i][j]} for j in
   * [0, length) and i in [0, count), ascending in i. Unrolled by eight rows to save loads and stores of
   * {@code out}; the sum is still taken one row after the other.
   */
  static void accumulate(
      float[] out, int length, float[] scale, int at, float[][] rows, int first, int count) {
    int i = 0;
    for (; i + 8 <= count; i += 8) {
      float s0 = scale[at + i];
      float s1 = scale[at + i + 1];
      float s2 = scale[at + i + 2];
      float s3 = scale[at + i + 3];
      float s4 = scale[at + i + 4];
      float s5 = scale[at + i + 5];
      float s6 = scale[at + i + 6];
      float s7 = scale[at + i + 7];
      float[] r0 = rows[first + i];
      float[] r1 = rows[first + i + 1];
      float[] r2 = rows[first + i + 2];
      float[] r3 = rows[first + i + 3];
      float[] r4 = rows[first + i + 4];
      float[] r5 = rows[first + i + 5];
      float[] r6 = rows[first + i + 6];
      float[] r7 = rows[first + i + 7];
      for (int j = 0; j < length; j++) {
        out[j] = out[j] + s0 * r0[j] + s1 * r1[j] + s2 * r2[j] + s3 * r3[j]
            + s4 * r4[j] + s5 * r5[j] + s6 * r6[j] + s7 * r7[j];
      }
    }
    for (; i < count; i++) {
      float s = scale[at + i];
      float[] row = rows[first + i];
      for (int j = 0; j < length; j++) {
        out[j] += s * row[j];
      }
    }
  }

  /**
   * e^x with a relative error below 2e-5 for x in [-16, 16], as (e^(x/64))^64: without the usual assembly of
   * an exponent from bits, which C2 does not vectorise.
   */
  static float exp(float x) {
    float y = Math.max(-EXP_LIMIT, Math.min(EXP_LIMIT, x)) * (1f / 64);
    float p = 1f + y * (1f + y * (1f / 2 + y * (1f / 6 + y * (1f / 24 + y * (1f / 120 + y * (1f / 720))))));
    p *= p;
    p *= p;
    p *= p;
    p *= p;
    p *= p;
    return p * p;
  }

  /** {@code row[j] = e^(row[j] - max[j])}. */
  static void expMinus(float[] row, float[] max, int length) {
    for (int j = 0; j < length; j++) {
      row[j] = exp(row[j] - max[j]);
    }
  }

  static void add(float[] sum, float[] row, int length) {
    for (int j = 0; j < length; j++) {
      sum[j] += row[j];
    }
  }

  static void addSquares(float[] sum, float[] row, int length) {
    for (int j = 0; j < length; j++) {
      sum[j] += row[j] * row[j];
    }
  }

  static void maximum(float[] max, float[] row, int length) {
    for (int j = 0; j < length; j++) {
      max[j] = Math.max(max[j], row[j]);
    }
  }

  static void multiply(float[] out, float[] factor, int length) {
    for (int j = 0; j < length; j++) {
      out[j] *= factor[j];
    }
  }

  static void scale(float[] row, float factor, int length) {
    for (int j = 0; j < length; j++) {
      row[j] *= factor;
    }
  }

  /** {@code out[j] = row[j] * factor[j] * gain}. */
  static void scale(float[] out, float[] row, float[] factor, float gain, int length) {
    for (int j = 0; j < length; j++) {
      out[j] = row[j] * factor[j] * gain;
    }
  }

  /** {@code gate[j] = silu(gate[j]) * up[j]}. */
  static void swiglu(float[] gate, float[] up, int length) {
    for (int j = 0; j < length; j++) {
      gate[j] = gate[j] / (1f + exp(-gate[j])) * up[j];
    }
  }

  /** Turns a sum of {@code width} squares into the reciprocal root mean square. */
  static float inverseRms(float sumOfSquares, int width) {
    return (float) (1 / Math.sqrt(sumOfSquares / width + RMS_EPSILON));
  }

  /** RMS normalisation of one vector into {@code out}. */
  static void normalise(float[] out, float[] x, float[] gains) {
    float sum = 0;
    for (float value : x) {
      sum += value * value;
    }
    float inverse = inverseRms(sum, x.length);
    for (int i = 0; i < x.length; i++) {
      out[i] = x[i] * inverse * gains[i];
    }
  }
}
