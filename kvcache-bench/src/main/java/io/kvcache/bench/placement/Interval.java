package io.kvcache.bench.placement;

import java.util.Arrays;
import org.apache.commons.math3.distribution.TDistribution;

/**
 * A figure that rests on a few seeds, and how sure it is: Student's 95 % interval of a mean. Drawing from so few with
 * replacement would do no better than some 85 %.
 *
 * @param value the figure
 * @param low end of the interval; infinitely far away where there is only one seed
 * @param high end of the interval, likewise
 */
record Interval(double value, double low, double high) {
  private static final double UPPER = 0.975;

  /** Of the mean of a value for each seed. */
  static Interval ofMean(double... bySeed) {
    int seeds = bySeed.length;
    double mean = Arrays.stream(bySeed).average().orElseThrow();
    if (seeds == 1) {
      return new Interval(mean, Double.NEGATIVE_INFINITY, Double.POSITIVE_INFINITY);
    }
    double squares = Arrays.stream(bySeed).map(value -> (value - mean) * (value - mean)).sum();
    double error = Math.sqrt(squares / (seeds - 1) / seeds);
    double reach = new TDistribution(seeds - 1).inverseCumulativeProbability(UPPER) * error;
    return new Interval(mean, mean - reach, mean + reach);
  }

  /** Of the geometric mean of the ratios of two values for each seed: on a logarithmic scale, halving is twice back. */
  static Interval ofRatio(double[] above, double[] below) {
    double[] logs = new double[above.length];
    Arrays.setAll(logs, seed -> Math.log(above[seed] / below[seed]));
    Interval log = ofMean(logs);
    return new Interval(Math.exp(log.value), Math.exp(log.low), Math.exp(log.high));
  }

  /** As far as the figure can be at all. */
  Interval within(double least, double most) {
    return bounded() ? new Interval(value, Math.max(least, low), Math.min(most, high)) : this;
  }

  /** Whether there is an interval at all. */
  boolean bounded() {
    return high < Double.POSITIVE_INFINITY;
  }
}
