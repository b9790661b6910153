package io.kvcache.bench.model;

import java.util.SplittableRandom;

/**
 * The speed of a prefill as a fraction of a plain matrix product in the same process on as many threads:
 * shows that what a cache saves is not the engine's own slowness.
 *
 * @param tokens tokens prefilled
 * @param millis the best time for them
 * @param gflops 10^9 floating point operations per second in matrices and (causal) attention
 * @param matmulGflops what {@link MatmulProbe} reached
 */
public record PrefillProbe(int tokens, double millis, double gflops, double matmulGflops) {
  /** Measures both, for about ten seconds; the context of the model limits {@code tokens}. */
  public static PrefillProbe measure(ModelWeights weights, int tokens, int threads) {
    double before = MatmulProbe.gflops(threads);
    int[] prompt = new SplittableRandom(1).ints(tokens, 0, weights.config().vocabulary()).toArray();
    try (Transformer transformer = new Transformer(weights, threads);
        KvState state = transformer.newState(tokens)) {
      double nanos = Stopwatch.bestNanos(3_000, () -> {
        state.truncate(0);
        transformer.prefill(state, prompt);
      });
      // Once more, since the first may have ended before the compiler was through.
      double matmul = Math.max(before, MatmulProbe.gflops(threads));
      return new PrefillProbe(tokens, nanos / 1e6, flops(weights.config(), tokens) / nanos, matmul);
    }
  }

  /** The fraction of the matrix product's speed. */
  public double fraction() {
    return gflops / matmulGflops;
  }

  /** Operations the result needs: none for masked scores, logits for the last token only. */
  private static double flops(ModelConfig config, int tokens) {
    double scoresAndSums = (double) config.layers() * config.width() * tokens * (tokens + 1);
    double logits = (double) config.vocabulary() * config.width();
    return 2 * ((double) tokens * config.layerMultiplyAdds() + scoresAndSums + logits);
  }
}
