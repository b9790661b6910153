package io.kvcache.bench.limits;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntConsumer;

/**
 * Finds the best throughput of several passes: on a shared machine the best is what others disturbed least. The
 * probes of a group take turns, so that a disturbance meets a limit and the path judged by it alike.
 */
final class Meter {
  /** A round counts as better only beyond this; the last percents are noise. */
  private static final double IMPROVEMENT = 1.02;

  /** The end, in multiples of the rounds asked for, of going on because figures still get better. */
  private static final int MAX_EXTENSION = 3;

  private final int rounds;

  /** Ends after {@code rounds} rounds in a row in which no figure got better. */
  Meter(int rounds) {
    this.rounds = rounds;
  }

  /**
   * Gigabytes (10⁹ bytes) per second in the best pass of each probe. The first round warms up code, caches and
   * device, and is not counted.
   *
   * @param progress hears the number of each round before it begins
   */
  Map<Probe, Double> best(List<Probe> probes, IntConsumer progress) throws IOException {
    Map<Probe, Double> best = new LinkedHashMap<>();
    int lastBetter = 0;
    for (int round = 0; round <= lastBetter + rounds && round <= MAX_EXTENSION * rounds; round++) {
      progress.accept(round);
      for (Probe probe : probes) {
        double speed = speed(probe);
        if (round > 0) {
          double before = best.getOrDefault(probe, speed);
          lastBetter = speed > before * IMPROVEMENT ? round : lastBetter;
          best.put(probe, Math.max(before, speed));
        }
      }
    }
    return best;
  }

  private static double speed(Probe probe) throws IOException {
    probe.prepare();
    long start = System.nanoTime();
    long bytes = probe.pass();
    return (double) bytes / (System.nanoTime() - start);
  }
}
