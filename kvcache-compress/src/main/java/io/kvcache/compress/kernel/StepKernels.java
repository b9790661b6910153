package io.kvcache.compress.kernel;

/**
 * Loops between numbers and what an entropy coder is given: rounding to steps, and the difference to what the token
 * before lets expect. As in {@link RowKernels} every array is indexed with the plain loop counter, but for those that
 * are only read or only written, and nothing is fused or reordered.
 *
 * <p>Steps are signed numbers of {@code bits} bits, and so are differences, which wrap around: one of more than half
 * the range comes back as well as any other.
 */
public final class StepKernels {
  /** Makes a number positive, so that truncating it is rounding it down; more steps than that are none. */
  private static final int BIAS = 4096;

  private StepKernels() {}

  /** {@code steps = ⌊(values − mean) · inverse + ½⌋}; beyond ±4095, and of NaN, anything beyond ±4094. */
  public static void toSteps(float[] values, float[] mean, float inverse, int[] steps, int n) {
    for (int i = 0; i < n; i++) {
      steps[i] = (int) ((values[i] - mean[i]) * inverse + (BIAS + 0.5f)) - BIAS;
    }
  }

  /** The greatest of {@code steps} and {@code −1 − steps}: below 2^(bits − 1) when all of them have that many bits. */
  public static int greatest(int[] steps, int n) {
    int greatest = 0;
    for (int i = 0; i < n; i++) {
      greatest = Math.max(greatest, steps[i] ^ steps[i] >> 31);
    }
    return greatest;
  }

  /** The greatest bit pattern without its sign: that of the greatest amount, or of a NaN. */
  public static int greatestBits(int[] patterns, int n) {
    int greatest = 0;
    for (int i = 0; i < n; i++) {
      greatest = Math.max(greatest, patterns[i] & 0x7fffffff);
    }
    return greatest;
  }

  /** Adds to the sum and the sum of squares of each channel. */
  public static void accumulate(float[] values, double[] sums, double[] squares, int n) {
    for (int i = 0; i < n; i++) {
      sums[i] += values[i];
    }
    for (int i = 0; i < n; i++) {
      squares[i] += (double) values[i] * values[i];
    }
  }

  /** The sum of squares, in four sums of every fourth: what is added to what is part of what is stored. */
  public static double power(float[] values, int n) {
    double a = 0;
    double b = 0;
    double c = 0;
    double d = 0;
    int i = 0;
    for (; i < n - 3; i += 4) {
      a += (double) values[i] * values[i];
      b += (double) values[i + 1] * values[i + 1];
      c += (double) values[i + 2] * values[i + 2];
      d += (double) values[i + 3] * values[i + 3];
    }
    for (; i < n; i++) {
      a += (double) values[i] * values[i];
    }
    return (a + b) + (c + d);
  }

  /** Adds {@code steps²} to {@code squares} and {@code steps · previous} to {@code products}; all sums are exact. */
  public static void correlate(int[] steps, int[] previous, double[] squares, double[] products, int n) {
    for (int i = 0; i < n; i++) {
      squares[i] += steps[i] * steps[i];
    }
    for (int i = 0; i < n; i++) {
      products[i] += steps[i] * previous[i];
    }
  }

  /**
   * What is left of steps when {@code (quarters · previous + 2) >> 2} was expected, wrapped to {@code bits} bits.
   * {@code previous} becomes the steps.
   */
  public static void toResiduals(int[] steps, int[] quarters, int[] previous, int bits, int[] residuals,
      int n) {
    int shift = Integer.SIZE - bits;
    for (int i = 0; i < n; i++) {
      residuals[i] = steps[i] - (quarters[i] * previous[i] + 2 >> 2) << shift >> shift;
    }
    System.arraycopy(steps, 0, previous, 0, n);
  }

  /** The way back from {@link #toResiduals}: {@code steps}, which are those of the token before, become this one's. */
  public static void fromResiduals(int[] residuals, int[] quarters, int[] steps, int bits, int n) {
    int shift = Integer.SIZE - bits;
    for (int i = 0; i < n; i++) {
      steps[i] = (quarters[i] * steps[i] + 2 >> 2) + residuals[i] << shift >> shift;
    }
  }

  /** {@code out = steps · step + mean}, the product rounded to binary32 before the sum. */
  public static void fromSteps(int[] steps, float step, float[] mean, float[] out, int n) {
    for (int i = 0; i < n; i++) {
      out[i] = steps[i] * step + mean[i];
    }
  }

  /** Adds the square of {@code residuals >> low} to the energy of each channel. */
  public static void addEnergy(int[] residuals, int low, int[] energy, int n) {
    for (int i = 0; i < n; i++) {
      energy[i] += (residuals[i] >> low) * (residuals[i] >> low);
    }
  }

  /** Keeps {@code residuals >> low}, which fits a byte, from {@code at} on. */
  public static void narrow(int[] residuals, int low, byte[] out, int at, int n) {
    for (int i = 0; i < n; i++) {
      out[at + i] = (byte) (residuals[i] >> low);
    }
  }

  /** Keeps steps from {@code at} on. */
  public static void narrow(int[] steps, short[] out, int at, int n) {
    for (int i = 0; i < n; i++) {
      out[at + i] = (short) steps[i];
    }
  }

  /** The way back from {@link #narrow(int[], short[], int, int)}. */
  public static void widen(short[] kept, int at, int[] steps, int n) {
    for (int i = 0; i < n; i++) {
      steps[i] = kept[at + i];
    }
  }

  /** Puts the low halves of two residuals into each byte. */
  public static void joinLow(int[] first, int[] second, byte[] packed, int at, int n) {
    for (int i = 0; i < n; i++) {
      packed[at + i] = (byte) (first[i] & 15 | (second[i] & 15) << 4);
    }
  }

  /** Residuals of their upper byte, 0 to 255, and the low half of each of {@code packed}. */
  public static void addFirstLow(int[] symbols, byte[] packed, int n) {
    for (int i = 0; i < n; i++) {
      symbols[i] = symbols[i] << 4 | packed[i] & 15;
    }
  }

  /** Residuals of their upper byte, 0 to 255, and the high half of each of {@code packed}. */
  public static void addSecondLow(int[] symbols, byte[] packed, int n) {
    for (int i = 0; i < n; i++) {
      symbols[i] = symbols[i] << 4 | packed[i] >> 4 & 15;
    }
  }
}
