package io.kvcache.compress;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class HalfFloatsTest {
  /** Goal: neighbours enclose every number. Method: all finite binary16, and random numbers in between. */
  @Test
  void floorAndCeilAreTheNearestOnEachSide() {
    SplittableRandom random = new SplittableRandom(5);
    for (int bits = 0; bits < 0x7bff; bits++) {
      float below = Float.float16ToFloat((short) bits);
      float above = Float.float16ToFloat((short) (bits + 1));
      assertEquals(bits, HalfFloats.floor(below));
      assertEquals(bits, HalfFloats.ceil(below));
      float between = below + (above - below) * random.nextFloat(0.01f, 0.99f);
      assertEquals(bits, HalfFloats.floor(between));
      assertEquals(bits + 1, HalfFloats.ceil(between));
      assertEquals(-above, Float.float16ToFloat(HalfFloats.floor(-between)));
    }
  }

  @Test
  void neverGivesNegativeZero() {
    assertEquals(0, HalfFloats.floor(-0f));
    assertEquals(0, HalfFloats.ceil(-0f));
    assertEquals((short) 0x8001, HalfFloats.floor(-Float.MIN_VALUE));
    assertEquals(1, HalfFloats.ceil(Float.MIN_VALUE));
    assertTrue(Float.isNaN(Float.float16ToFloat(HalfFloats.floor(Float.NaN))));
  }
}
