package io.kvcache.bench.quality;

import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/** Spearman's rank correlation, and what can be said of its mean over several contexts. */
final class RankCorrelation {
  private static final int RESAMPLES = 2_000;

  private RankCorrelation() {}

  /**
   * A mean and the interval that holds 95 % of the means of samples drawn from the same values with replacement.
   *
   * @param contexts values there are
   */
  record Mean(double mean, double low, double high, int contexts) {}

  /** Correlation of the ranks, equal values having the mean of theirs; NaN when one side is constant. */
  static double spearman(double[] x, double[] y) {
    double[] rankX = ranks(x);
    double[] rankY = ranks(y);
    double mean = (x.length - 1) / 2.0;
    double xy = 0;
    double xx = 0;
    double yy = 0;
    for (int i = 0; i < x.length; i++) {
      xy += (rankX[i] - mean) * (rankY[i] - mean);
      xx += (rankX[i] - mean) * (rankX[i] - mean);
      yy += (rankY[i] - mean) * (rankY[i] - mean);
    }
    return xx == 0 || yy == 0 ? Double.NaN : xy / Math.sqrt(xx * yy);
  }

  private static double[] ranks(double[] x) {
    int[] order = IntStream.range(0, x.length).boxed().sorted(Comparator.comparingDouble(i -> x[i]))
        .mapToInt(Integer::intValue).toArray();
    double[] ranks = new double[x.length];
    for (int from = 0; from < order.length;) {
      int to = from;
      while (to < order.length && x[order[to]] == x[order[from]]) {
        to++;
      }
      for (int i = from; i < to; i++) {
        ranks[order[i]] = (from + to - 1) / 2.0;
      }
      from = to;
    }
    return ranks;
  }

  /** Of the values that are not NaN. */
  static Mean mean(List<Double> all) {
    double[] values =
        all.stream().mapToDouble(Double::doubleValue).filter(value -> !Double.isNaN(value)).toArray();
    if (values.length == 0) {
      return new Mean(Double.NaN, Double.NaN, Double.NaN, 0);
    }
    SplittableRandom random = new SplittableRandom(1);
    double[] means = new double[RESAMPLES];
    Arrays.setAll(means,
        i -> IntStream.range(0, values.length).mapToDouble(j -> values[random.nextInt(values.length)])
            .average()
            .orElseThrow());
    Arrays.sort(means);
    return new Mean(Arrays.stream(values).average().orElseThrow(), means[RESAMPLES / 40],
        means[RESAMPLES - 1 - RESAMPLES / 40], values.length);
  }
}
