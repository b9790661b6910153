package io.kvcache.bench;

import java.util.Arrays;
import org.apache.commons.math3.distribution.TDistribution;

/**
 * A figure that rests on a few samples, and how sure it is: Student's 95 % interval of a mean. Drawing from few with
 * replacement would do no better than some 85 %.
 *
 * @param value the figure
 * @param low end of the interval; infinitely far away where there is only one sample
 * @param high end of the interval, likewise
 */
public record Interval(double value, double low, double high) {
  private static final double UPPER = 0.975;

  /** Of the mean of a value for each sample. */
  public static Interval ofMean(double... bySample) {
    int samples = bySample.length;
    double mean = Arrays.stream(bySample).average().orElseThrow();
    if (samples == 1) {
      return new Interval(mean, Double.NEGATIVE_INFINITY, Double.POSITIVE_INFINITY);
    }
    double squares = Arrays.stream(bySample).map(value -> (value - mean) * (value - mean)).sum();
    double error = Math.sqrt(squares / (samples - 1) / samples);
    double reach = new TDistribution(samples - 1).inverseCumulativeProbability(UPPER) * error;
    return new Interval(mean, mean - reach, mean + reach);
  }

  /** Of the geometric mean of the ratios of two values a sample: on a logarithmic scale, halving is twice back. */
  public static Interval ofRatio(double[] above, double[] below) {
    double[] logs = new double[above.length];
    Arrays.setAll(logs, sample -> Math.log(above[sample] / below[sample]));
    Interval log = ofMean(logs);
    return new Interval(Math.exp(log.value), Math.exp(log.low), Math.exp(log.high));
  }

  /** As far as the figure can be at all. */
  public Interval within(double least, double most) {
    return bounded() ? new Interval(value, Math.max(least, low), Math.min(most, high)) : this;
  }

  /** Whether there is an interval at all. */
  public boolean bounded() {
    return high < Double.POSITIVE_INFINITY;
  }
}
