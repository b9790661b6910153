package io.kvcache.bench.model;

/** Times an action by its best run: the compiled one, and the least disturbed by others on the machine. */
final class Stopwatch {
  private Stopwatch() {}

  /** Repeats the action for the given time, at least five times; nanoseconds of the best run. */
  static double bestNanos(long millis, Runnable action) {
    long deadline = System.nanoTime() + millis * 1_000_000;
    long best = Long.MAX_VALUE;
    for (int run = 0; run < 5 || System.nanoTime() < deadline; run++) {
      long start = System.nanoTime();
      action.run();
      best = Math.min(best, System.nanoTime() - start);
    }
    return best;
  }
}
