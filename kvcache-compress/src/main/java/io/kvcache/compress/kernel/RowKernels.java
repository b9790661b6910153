package io.kvcache.compress.kernel;

import java.util.Arrays;

/**
 * Loops over the first {@code n} elements of their arrays.
 *
 * <p>Every array is indexed with the plain loop counter and a loop reads no array of the type that it writes
 * at another index: C2 gives up on a loop in which two arrays of one type might overlap at different offsets.
 * Nothing is fused ({@code fma}) or reordered, so the result is the same bits on every machine.
 */
public final class RowKernels {
  private RowKernels() {}

  /** {@code out = codes · scale + middle}, the product rounded to binary32 before the sum. */
  public static void dequantize(byte[] codes, float[] scale, float[] middle, float[] out, int n) {
    for (int i = 0; i < n; i++) {
      out[i] = codes[i] * scale[i] + middle[i];
    }
  }

  /**
   * {@code codes = min(⌊(values − zero) · inverse + ½⌋, most) − bias}. Callers see to it that values are
   * finite and not below zero, so truncation is the floor.
   */
  public static void quantize(
      float[] values, float[] zero, float[] inverse, int most, int bias, byte[] codes, int n) {
    for (int i = 0; i < n; i++) {
      codes[i] = (byte) (Math.min((int) ((values[i] - zero[i]) * inverse[i] + 0.5f), most) - bias);
    }
  }

  /** Takes codes out of the bytes that they share: {@code codes = (packed >> shift) & mask}. */
  public static void unpack(byte[] packed, int shift, int mask, byte[] codes, int n) {
    for (int i = 0; i < n; i++) {
      codes[i] = (byte) ((packed[i] >> shift) & mask);
    }
  }

  /** Puts codes into shared bytes: {@code packed = low | high << shift}; {@code packed} may be one of them. */
  public static void join(byte[] low, byte[] high, int shift, byte[] packed, int n) {
    for (int i = 0; i < n; i++) {
      packed[i] = (byte) (low[i] | (high[i] << shift));
    }
  }

  /**
   * Rounds binary32 bit patterns to bf16, half to even, and packs an even and an odd channel into each word.
   * Finite values only: a NaN could carry over into the exponent.
   */
  public static void packBf16(int[] even, int[] odd, int[] words, int n) {
    for (int i = 0; i < n; i++) {
      int e = even[i];
      int o = odd[i];
      words[i] = ((e + 0x7fff + ((e >>> 16) & 1)) >>> 16) | ((o + 0x7fff + ((o >>> 16) & 1)) & 0xffff0000);
    }
  }

  /** Takes pairs of bf16 apart into binary32 bit patterns. */
  public static void splitBf16(int[] words, int[] even, int[] odd, int n) {
    for (int i = 0; i < n; i++) {
      even[i] = words[i] << 16;
      odd[i] = words[i] & 0xffff0000;
    }
  }

  /** Widens binary16. */
  public static void fromF16(short[] halves, float[] out, int n) {
    for (int i = 0; i < n; i++) {
      out[i] = Float.float16ToFloat(halves[i]);
    }
  }

  /** Rounds to binary16, half to even. */
  public static void toF16(float[] values, short[] halves, int n) {
    for (int i = 0; i < n; i++) {
      halves[i] = Float.floatToFloat16(values[i]);
    }
  }

  /** Widens {@code low} and {@code high} so that they cover {@code values}; a NaN spreads. */
  public static void widen(float[] values, float[] low, float[] high, int n) {
    for (int i = 0; i < n; i++) {
      low[i] = Math.min(low[i], values[i]);
    }
    for (int i = 0; i < n; i++) {
      high[i] = Math.max(high[i], values[i]);
    }
  }

  /**
   * Repeats one number per group over the group's lanes.
   *
   * @param first index in {@code perGroup} of the group that {@code out[0]} belongs to
   * @param skip lanes of that group that lie before {@code out[0]}
   */
  public static void spread(float[] perGroup, int first, int skip, int lanes, float[] out, int n) {
    int from = 0;
    for (int group = first; from < n; group++) {
      int to = Math.min((group - first + 1) * lanes - skip, n);
      Arrays.fill(out, from, to, perGroup[group]);
      from = to;
    }
  }
}
