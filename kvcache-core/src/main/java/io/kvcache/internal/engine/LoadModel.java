package io.kvcache.internal.engine;

/**
 * How long reading takes, learned from what reading took: a rate that forgets exponentially. Threads: any.
 */
final class LoadModel {
  private static final double WEIGHT = 0.1;

  private volatile double nanosPerUnit;

  /** Starts with a guess, replaced by the first observation. */
  LoadModel(double guess) {
    nanosPerUnit = -guess;
  }

  /** Takes note that {@code units} took {@code nanos}. Racing observations may be lost, which does not matter. */
  void observe(long units, long nanos) {
    if (units > 0 && nanos > 0) {
      double rate = (double) nanos / units;
      nanosPerUnit = nanosPerUnit <= 0 ? rate : nanosPerUnit + WEIGHT * (rate - nanosPerUnit);
    }
  }

  boolean observed() {
    return nanosPerUnit > 0;
  }

  double estimateNanos(long units) {
    return Math.abs(nanosPerUnit) * units;
  }
}
