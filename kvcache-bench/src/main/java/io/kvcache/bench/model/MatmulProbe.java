package io.kvcache.bench.model;

import java.util.SplittableRandom;

/**
 * The speed of a plain Java matrix product, C += A B of 512 x 512 floats: the yardstick for
 * {@link PrefillProbe}. Straightforward for the same compiler: rows of B are scaled and added, eight at a
 * time, blocked so that they stay in cache.
 */
public final class MatmulProbe {
  private static final int SIZE = 512;
  private static final int BLOCK = 64;

  /** Products timed together: as much work as a prefill, so that both meet the same disturbances. */
  private static final int REPEATS = 32;

  private MatmulProbe() {}

  /**
   * Measures, for some seconds.
   *
   * @param threads threads that share the rows of C
   * @return the best of many runs in 10^9 floating point operations per second (2 per multiply-add)
   */
  public static double gflops(int threads) {
    float[][] a = random(1);
    float[][] b = random(2);
    float[][] c = new float[SIZE][SIZE];
    try (Workers workers = new Workers(threads)) {
      double nanos = Stopwatch.bestNanos(2_000, () -> {
        for (int i = 0; i < REPEATS; i++) {
          multiply(workers, a, b, c);
        }
      });
      return 2.0 * SIZE * SIZE * SIZE * REPEATS / nanos;
    }
  }

  private static void multiply(Workers workers, float[][] a, float[][] b, float[][] c) {
    workers.forEach(SIZE / BLOCK, (task, runner) -> {
      for (int k = 0; k < SIZE; k += BLOCK) {
        for (int row = task * BLOCK; row < (task + 1) * BLOCK; row++) {
          Kernels.accumulate(c[row], SIZE, a[row], k, b, k, BLOCK);
        }
      }
    });
  }

  private static float[][] random(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    float[][] rows = new float[SIZE][SIZE];
    for (float[] row : rows) {
      for (int j = 0; j < SIZE; j++) {
        row[j] = (float) random.nextDouble(-1, 1);
      }
    }
    return rows;
  }
}
