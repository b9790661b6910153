package io.kvcache.compress.kernel;

/**
 * How far apart floating-point numbers of one type are, counted in numbers of that type, and the way back. All
 * bit patterns are in one order, negative ones before the others, so that a small error is a small distance on
 * either side of zero too. Words hold four elements of 16 bits or two of 32, and carries stay within elements.
 */
public final class ResidualKernels {
  private static final long ONES_16 = 0x0001000100010001L;
  private static final long ONES_32 = 0x0000000100000001L;

  /** Makes each byte of a small distance but the lowest 0, whichever sign it has. */
  private static final long BIAS_16 = 0x0080008000800080L;
  private static final long BIAS_32 = 0x0080808000808080L;

  private ResidualKernels() {}

  /**
   * Puts in place of each element its distance from that of {@code base}, plus a bias, modulo the number of
   * patterns.
   *
   * @param bits bits of an element, 16 or 32
   * @param n words
   */
  public static void difference(long[] elements, long[] base, int bits, int n) {
    if (bits == 16) {
      difference(elements, base, 15, ONES_16, BIAS_16, n);
    } else {
      difference(elements, base, 31, ONES_32, BIAS_32, n);
    }
  }

  /** The way back from {@link #difference}. */
  public static void restore(long[] differences, long[] base, int bits, int n) {
    if (bits == 16) {
      restore(differences, base, 15, ONES_16, BIAS_16, n);
    } else {
      restore(differences, base, 31, ONES_32, BIAS_32, n);
    }
  }

  private static void difference(long[] elements, long[] base, int sign, long ones, long bias, int n) {
    long signs = ones << sign;
    for (int i = 0; i < n; i++) {
      long distance = subtract(ordered(elements[i], sign, ones), ordered(base[i], sign, ones), signs);
      elements[i] = add(distance, bias, signs);
    }
  }

  private static void restore(long[] differences, long[] base, int sign, long ones, long bias, int n) {
    long signs = ones << sign;
    for (int i = 0; i < n; i++) {
      long distance = subtract(differences[i], bias, signs);
      differences[i] = ordered(add(distance, ordered(base[i], sign, ones), signs), sign, ones);
    }
  }

  /** Bit patterns as integers in the order of the numbers, by flipping what is below a set sign; its own inverse. */
  private static long ordered(long elements, int sign, long ones) {
    long negative = elements >>> sign & ones;
    return elements ^ ((negative << sign) - negative);
  }

  /** Element by element (Hacker's Delight, 2-18). */
  private static long add(long a, long b, long signs) {
    return ((a & ~signs) + (b & ~signs)) ^ ((a ^ b) & signs);
  }

  private static long subtract(long a, long b, long signs) {
    return ((a | signs) - (b & ~signs)) ^ ((a ^ ~b) & signs);
  }
}
