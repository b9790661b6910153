package io.kvcache.bench.limits;

import java.io.IOException;

/** Finds the best throughput of several passes: on a shared machine the best is what others disturbed least. */
final class Meter {
  private final int rounds;

  Meter(int rounds) {
    this.rounds = rounds;
  }

  /** Gigabytes (10⁹ bytes) per second in the best pass, after one that warms up code, caches and device. */
  double best(Probe probe) throws IOException {
    double best = 0;
    for (int round = 0; round <= rounds; round++) {
      probe.prepare();
      long start = System.nanoTime();
      long bytes = probe.pass();
      double speed = (double) bytes / (System.nanoTime() - start);
      if (round > 0) {
        best = Math.max(best, speed);
      }
    }
    return best;
  }
}
