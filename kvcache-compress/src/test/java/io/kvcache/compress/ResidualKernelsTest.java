package io.kvcache.compress;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.kvcache.compress.kernel.ResidualKernels;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class ResidualKernelsTest {
  /** Goal: every pattern comes back, over whatever base. Method: all of 16 bits, over itself and random others. */
  @Test
  void everyPatternOf16BitsComesBack() {
    SplittableRandom random = new SplittableRandom(1);
    long[] elements = new long[1 << 14];
    long[] base = new long[1 << 14];
    for (int i = 0; i < 1 << 16; i++) {
      elements[i / 4] |= (long) i << 16 * (i % 4);
      base[i / 4] |= (i % 3 == 0 ? i : random.nextLong(1 << 16)) << 16 * (i % 4);
    }
    assertComesBack(elements, base, 16);
    for (int i = 0; i < 1 << 16; i++) {
      assertDistance(elements[i / 4] >>> 16 * (i % 4), base[i / 4] >>> 16 * (i % 4), 16);
    }
  }

  @Test
  void patternsOf32BitsComeBack() {
    SplittableRandom random = new SplittableRandom(2);
    long[] elements = random.longs(1 << 14).toArray();
    long[] base = random.longs(1 << 14).toArray();
    for (int i = 0; i < base.length; i += 3) {
      base[i] = elements[i] + random.nextInt(-5, 6);
    }
    assertComesBack(elements, base, 32);
    for (int i = 0; i < base.length; i++) {
      assertDistance(elements[i], base[i], 32);
      assertDistance(elements[i] >>> 32, base[i] >>> 32, 32);
    }
  }

  /** Goal: neighbours are 1 apart everywhere, from the lowest number over both zeros to the highest. */
  @Test
  void neighboursAreOneApart() {
    float[] ascending = {Float.NEGATIVE_INFINITY, -1, Math.nextUp(-1f), -Float.MIN_VALUE, -0f, 0f,
      Float.MIN_VALUE, 1, Math.nextUp(1f), Float.MAX_VALUE, Float.POSITIVE_INFINITY};
    for (int i : new int[] {1, 3, 4, 5, 7, 9}) {
      long[] upper = {Float.floatToRawIntBits(ascending[i + 1]) & 0xffffffffL};
      long[] lower = {Float.floatToRawIntBits(ascending[i]) & 0xffffffffL};
      ResidualKernels.difference(upper, lower, 32, 1);
      assertEquals(0x00808080L + 1, upper[0] & 0xffffffffL, ascending[i] + " to " + ascending[i + 1]);
    }
  }

  private static void assertComesBack(long[] elements, long[] base, int bits) {
    long[] words = elements.clone();
    ResidualKernels.difference(words, base, bits, words.length);
    ResidualKernels.restore(words, base, bits, words.length);
    assertArrayEquals(elements, words);
  }

  /** Against another way to compute it: one element at a time, by sign and magnitude. */
  private static void assertDistance(long element, long base, int bits) {
    long mask = (1L << bits) - 1;
    long bias = bits == 16 ? 0x80 : 0x808080;
    long[] word = {element & mask};
    ResidualKernels.difference(word, new long[] {base & mask}, bits, 1);
    assertEquals(rank(element & mask, bits) - rank(base & mask, bits) + bias & mask, word[0] & mask);
  }

  private static long rank(long pattern, int bits) {
    long sign = 1L << bits - 1;
    return pattern < sign ? pattern : -1 - (pattern - sign);
  }
}
