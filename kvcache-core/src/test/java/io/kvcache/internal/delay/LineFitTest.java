package io.kvcache.internal.delay;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.spi.DelayLine;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class LineFitTest {
  private static final long MIB = 1 << 20;
  private static final int RUNS = 200;

  /** A medium with noise and outliers. */
  private static final class Medium {
    final SplittableRandom random;
    final boolean mixed;
    double slope = 2e-10;
    double fixed;

    Medium(long seed, boolean mixed, double fixed) {
      random = new SplittableRandom(seed);
      this.mixed = mixed;
      this.fixed = fixed;
    }

    void observe(LineFit fit, int count) {
      for (int i = 0; i < count; i++) {
        long bytes = mixed ? (long) (65_536 * Math.pow(1024, random.nextDouble())) : MIB;
        double noise = Math.max(0.1, 1 + 0.2 * random.nextGaussian());
        double outlier = random.nextInt(50) == 0 ? 50 : 1;
        fit.observe(bytes, Math.round((slope * bytes + fixed) * noise * outlier * 1e9));
      }
    }

    double worstError(LineFit fit) {
      double worst = 0;
      for (long bytes : mixed ? new long[] {MIB, 8 * MIB, 64 * MIB} : new long[] {MIB}) {
        worst = Math.max(worst, Math.abs(fit.line().seconds(bytes) / (slope * bytes + fixed) - 1));
      }
      return worst;
    }
  }

  private static LineFit fit() {
    return new LineFit(new DelayLine(1e-9, 0), LineFit.SEED_OBSERVATIONS, MIB, false);
  }

  /** Runs of all in which the line is within 25 % of the truth after a change and so many observations. */
  private static int followed(boolean mixed, double factor, double fixed, boolean fixedToo,
      int observations) {
    int good = 0;
    for (long seed = 1; seed <= RUNS; seed++) {
      Medium medium = new Medium(seed, mixed, fixed);
      LineFit fit = fit();
      medium.observe(fit, 50 + (int) (seed % 100));
      medium.slope *= factor;
      medium.fixed *= fixedToo ? factor : 1;
      medium.observe(fit, observations);
      good += medium.worstError(fit) <= 0.25 ? 1 : 0;
    }
    return good;
  }

  @ParameterizedTest
  @CsvSource({"4, 0", "0.25, 0", "4, 0.00002", "0.25, 0.00002", "4, 0.0001", "0.25, 0.0001", "4, 0.0005",
    "0.25, 0.0005"})
  void followsAChangeOfEveryDelay(double factor, double fixed) {
    for (boolean mixed : new boolean[] {true, false}) {
      int good = followed(mixed, factor, fixed, true, LineFit.FOLLOWS_WITHIN);
      assertTrue(good >= 0.98 * RUNS, good + " of " + RUNS + " runs, seeds from 1, mixed " + mixed);
    }
  }

  @ParameterizedTest
  @CsvSource({"4, 0.00002", "0.25, 0.00002", "4, 0.0001", "0.25, 0.0001"})
  void followsAChangeOfTheSlope(double factor, double fixed) {
    for (boolean mixed : new boolean[] {true, false}) {
      int good = followed(mixed, factor, fixed, false, LineFit.FOLLOWS_WITHIN);
      assertTrue(good >= 0.95 * RUNS, good + " of " + RUNS + " runs, seeds from 1, mixed " + mixed);
    }
  }

  /** The hardest case: most observations hardly show that the slope fell, since the fixed part is most of them. */
  @Test
  void followsAChangeThatFewObservationsShow() {
    int good = followed(true, 0.25, 0.0005, false, 100);
    assertTrue(good >= 0.95 * RUNS, good + " of " + RUNS + " runs, seeds from 1");
  }

  /** At once and as long as it is remembered, be it of the usual amount or the only one of its amount. */
  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
  void oneOutlierHardlyCounts(long seed) {
    for (boolean mixed : new boolean[] {true, false}) {
      for (double times : new double[] {100, 0.01}) {
        for (long bytes : new long[] {MIB / 4, MIB, 16 * MIB}) {
          LineFit hit = fit();
          LineFit spared = fit();
          Medium one = new Medium(seed, mixed, 0.0001);
          Medium other = new Medium(seed, mixed, 0.0001);
          one.observe(hit, 60);
          other.observe(spared, 60);
          hit.observe(bytes, Math.round(times * (2e-10 * bytes + 0.0001) * 1e9));
          for (int later = 0; later < 64; later++) {
            for (long size : new long[] {MIB / 8, MIB, 8 * MIB}) {
              assertEquals(1, hit.line().seconds(size) / spared.line().seconds(size), 0.1, "seed " + seed
                  + " mixed " + mixed + " times " + times + " at " + bytes + " seen at " + size + " after "
                  + later);
            }
            one.observe(hit, 1);
            other.observe(spared, 1);
          }
        }
      }
    }
  }

  @Test
  void keepsTheRatioWhereSizesDoNotVary() {
    LineFit fit = new LineFit(new DelayLine(1e-9, 0.001), LineFit.SEED_OBSERVATIONS, MIB, false);
    for (int i = 0; i < 300; i++) {
      fit.observe(MIB, Math.round(3 * (1e-9 * MIB + 0.001) * 1e9));
    }
    assertEquals(3e-9, fit.line().secondsPerUnit(), 0.15e-9);
    assertEquals(0.003, fit.line().fixedSeconds(), 0.00015);
  }

  @Test
  void guessGivesWayToTheFirstObservation() {
    LineFit fit = new LineFit(new DelayLine(1e-9, 0), 0, MIB, false);
    fit.observe(MIB, 500_000_000);
    assertEquals(0.5, fit.line().seconds(MIB), 0.01);
  }

  /** Lines of prefill time, as published, meet zero at several hundred tokens. */
  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3})
  void learnsANegativeFixedPart(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    LineFit fit = new LineFit(new DelayLine(1e-4, 0), 0, 4096, true);
    for (int i = 0; i < 200; i++) {
      long tokens = random.nextLong(2_000, 32_000);
      double seconds = (3.95e-5 * tokens - 0.03) * (1 + 0.05 * random.nextGaussian());
      fit.observe(tokens, Math.round(seconds * 1e9));
    }
    assertEquals(-0.03, fit.line().fixedSeconds(), 0.006, "seed " + seed);
    assertEquals(3.95e-5, fit.line().secondsPerUnit(), 2e-6, "seed " + seed);
    assertEquals(0, fit.line().seconds(10));
    LineFit loads = new LineFit(new DelayLine(1e-9, -1), 4, MIB, false);
    assertEquals(0, loads.line().fixedSeconds());
  }

  @Test
  void sameObservationsGiveTheSameLine() {
    LineFit one = fit();
    LineFit other = fit();
    new Medium(7, true, 0.0001).observe(one, 500);
    new Medium(7, true, 0.0001).observe(other, 500);
    assertEquals(one.line(), other.line());
    assertEquals(500, one.observations());
  }

  @Test
  void restartContinues() {
    LineFit fit = fit();
    new Medium(7, true, 0.0001).observe(fit, 100);
    LineFit restored = LineFit.restore(fit.state(), MIB, false);
    assertEquals(100, restored.observations());
    assertEquals(fit.line().seconds(MIB), restored.line().seconds(MIB), 1e-12);
    restored.observe(MIB, 50_000_000);
    assertEquals(1, restored.line().seconds(MIB) / fit.line().seconds(MIB), 0.1);
  }

  @Test
  void survivesExtremes() {
    SplittableRandom random = new SplittableRandom(3);
    LineFit fit = new LineFit(new DelayLine(0, 0), 4, MIB, true);
    for (int i = 0; i < 5000; i++) {
      fit.observe(random.nextLong() >>> random.nextInt(64), random.nextLong() >>> random.nextInt(64));
      assertTrue(Double.isFinite(fit.line().seconds(MIB)), "observation " + i);
    }
    long before = fit.observations();
    fit.observe(0, 5);
    fit.observe(5, 0);
    fit.observe(-1, Long.MIN_VALUE);
    assertEquals(before, fit.observations());
    assertThrows(IllegalArgumentException.class, () -> new LineFit(new DelayLine(0, 0), 9, MIB, true));
    assertThrows(IllegalArgumentException.class, () -> new LineFit(new DelayLine(0, 0), 1, 7, true));
  }
}
