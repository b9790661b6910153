package io.kvcache.bench.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class KernelsTest {
  @Test
  void expIsAccurateAndStaysFinite() {
    for (float x = -16; x <= 16; x += 0.001f) {
      assertEquals(1, Kernels.exp(x) / Math.exp(x), 2e-5, "x=" + x);
    }
    assertEquals(1f, Kernels.exp(0));
    assertTrue(Kernels.exp(-1e30f) < 2e-14f && Kernels.exp(Float.NEGATIVE_INFINITY) >= 0);
    assertTrue(Float.isFinite(Kernels.exp(1e30f)));
  }

  /** Goal: one order of summation. Method: any number of rows and columns against the plain loop. */
  @Test
  void accumulateSumsInOrderWhateverTheShape() {
    SplittableRandom random = new SplittableRandom(3);
    for (int count = 0; count < 40; count++) {
      for (int columns : new int[] {1, 7, 33, 100}) {
        float[][] rows = new float[count + 2][columns];
        float[] scale = new float[count + 3];
        fill(random, rows);
        fill(random, scale);
        float[] expected = new float[columns];
        fill(random, expected);
        float[] actual = expected.clone();
        for (int j = 0; j < columns; j++) {
          for (int i = 0; i < count; i++) {
            expected[j] += scale[3 + i] * rows[2 + i][j];
          }
        }
        Kernels.accumulate(actual, columns, scale, 3, rows, 2, count);
        assertArrayEquals(expected, actual, 0f, "count=" + count + " columns=" + columns);
      }
    }
  }

  @Test
  void bf16RoundsToNearestEven() {
    int one = 0x3f80;
    assertEquals(one, Bf16.round(1f));
    assertEquals(one, Bf16.round(Float.intBitsToFloat(0x3f808000)), "a tie goes to even, here down");
    assertEquals(one + 2, Bf16.round(Float.intBitsToFloat(0x3f818000)), "a tie goes to even, here up");
    assertEquals(one + 1, Bf16.round(Float.intBitsToFloat(0x3f808001)));
    assertEquals(0x7f80, Bf16.round(Float.MAX_VALUE), "beyond the largest is infinity");
    assertTrue(Float.isNaN(Bf16.widen(Bf16.round(Float.intBitsToFloat(0x7fffffff)))));
    assertTrue(Float.isNaN(Bf16.widen(Bf16.round(Float.intBitsToFloat(0x7f800001)))));
    for (int bits = 0; bits < 0x7f80; bits++) {
      assertEquals((short) bits, Bf16.round(Bf16.widen((short) bits)));
    }
  }

  private static void fill(SplittableRandom random, float[]... rows) {
    for (float[] row : rows) {
      for (int i = 0; i < row.length; i++) {
        row[i] = (float) random.nextGaussian();
      }
    }
  }
}
