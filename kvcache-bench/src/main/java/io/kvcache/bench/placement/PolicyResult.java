package io.kvcache.bench.placement;

import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * What came of one policy.
 *
 * @param name of the policy
 * @param ttftMillis time to first token of each measured request
 * @param correct requests answered exactly right
 * @param rejected stores that found no room, in the same time
 * @param hitTokenShareByTier share of all tokens of the documents asked about that was loaded, by tier
 * @param contexts where each document is, and why; empty unless the policy weighs alternatives
 */
public record PolicyResult(String name, double[] ttftMillis, int correct, long rejected,
    Map<String, Double> hitTokenShareByTier,
    List<PlacedContext> contexts) {
  private static final double P90 = 0.9;

  /** Half of the requests took no longer. */
  public double ttftMillisMedian() {
    return quantile(0.5);
  }

  /** The mean. */
  public double ttftMillisMean() {
    return Arrays.stream(ttftMillis).average().orElse(Double.NaN);
  }

  /** Nine of ten requests took no longer. */
  public double ttftMillisP90() {
    return quantile(P90);
  }

  /** Share of the requests answered exactly right. */
  public double accuracy() {
    return (double) correct / ttftMillis.length;
  }

  /** Share of all tokens of the documents asked about that was loaded. */
  public double hitTokenShare() {
    return hitTokenShareByTier.values().stream().mapToDouble(Double::doubleValue).sum();
  }

  /** Linear between the neighbours. */
  private double quantile(double share) {
    double[] sorted = ttftMillis.clone();
    Arrays.sort(sorted);
    double at = share * (sorted.length - 1);
    int below = (int) at;
    int above = Math.min(below + 1, sorted.length - 1);
    return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
  }
}
