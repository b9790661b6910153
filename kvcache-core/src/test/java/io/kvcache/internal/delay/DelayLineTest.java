package io.kvcache.internal.delay;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.spi.DelayLine;
import org.junit.jupiter.api.Test;

class DelayLineTest {
  @Test
  void predictsNothingBelowZero() {
    DelayLine prefill = new DelayLine(3.95e-5, -0.03);
    assertEquals(0, prefill.seconds(0));
    assertEquals(0, prefill.seconds(700));
    assertEquals(0.00950, prefill.seconds(1000), 1e-9);
  }

  @Test
  void rejectsWhatIsNoLine() {
    for (double bad : new double[] {Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY}) {
      assertThrows(IllegalArgumentException.class, () -> new DelayLine(bad, 0));
      assertThrows(IllegalArgumentException.class, () -> new DelayLine(0, bad));
    }
    assertThrows(IllegalArgumentException.class, () -> new DelayLine(-1e-9, 0));
  }

  @Test
  void differsWhereAnyPredictionInTheRangeDoes() {
    DelayLine line = new DelayLine(1e-9, 1e-4);
    assertFalse(line.differsFrom(line, 0, 1000));
    assertFalse(line.differsFrom(new DelayLine(1.04e-9, 1.04e-4), 0.05, 1 << 20));
    assertTrue(line.differsFrom(new DelayLine(1.06e-9, 1.06e-4), 0.05, 1 << 20));
    assertTrue(line.differsFrom(new DelayLine(1e-9, 1.5e-4), 0.05, 1 << 20), "small amounts");
    assertTrue(line.differsFrom(new DelayLine(1.1e-9, 1e-4), 0.05, 1 << 20), "large amounts");
    assertFalse(line.differsFrom(new DelayLine(1.1e-9, 1e-4), 0.05, 100), "amounts that are all fixed part");
    assertThrows(IllegalArgumentException.class, () -> line.differsFrom(line, Double.NaN, 1000));
  }
}
