package io.kvcache.bench.placement;

import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.function.ToDoubleFunction;

/** How sure a figure is that rests on a few seeds: by drawing as many of them with replacement, again and again. */
final class Bootstrap {
  private static final int RESAMPLES = 10_000;

  private Bootstrap() {}

  /**
   * A figure, and the interval that holds 95 % of those of resamples.
   *
   * @param value from all seeds
   * @param low end of the interval
   * @param high end of the interval
   */
  record Interval(double value, double low, double high) {}

  /** A figure that is made of the seeds with the given indexes, which may repeat. */
  static Interval of(int seeds, ToDoubleFunction<int[]> figure) {
    int[] drawn = new int[seeds];
    Arrays.setAll(drawn, i -> i);
    double value = figure.applyAsDouble(drawn);
    SplittableRandom random = new SplittableRandom(1);
    double[] resamples = new double[RESAMPLES];
    for (int i = 0; i < RESAMPLES; i++) {
      Arrays.setAll(drawn, seed -> random.nextInt(seeds));
      resamples[i] = figure.applyAsDouble(drawn);
    }
    Arrays.sort(resamples);
    return new Interval(value, resamples[RESAMPLES / 40], resamples[RESAMPLES - 1 - RESAMPLES / 40]);
  }

  /** Of the mean of a value for each seed. */
  static Interval ofMean(double... bySeed) {
    return of(bySeed.length, seeds -> mean(bySeed, seeds));
  }

  /** Of the ratio of the means of two values for each seed. */
  static Interval ofRatio(double[] above, double[] below) {
    return of(above.length, seeds -> mean(above, seeds) / mean(below, seeds));
  }

  private static double mean(double[] bySeed, int... seeds) {
    return Arrays.stream(seeds).mapToDouble(seed -> bySeed[seed]).average().orElse(Double.NaN);
  }
}
