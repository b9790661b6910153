package io.kvcache.simulation;

import io.kvcache.AcquireOptions;
import io.kvcache.ChunkKey;
import io.kvcache.KvLayout;
import io.kvcache.KvLease;
import io.kvcache.QualityProbe;
import io.kvcache.simulation.Workload.Prompt;
import io.kvcache.testkit.ManualClock;
import java.util.OptionalDouble;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;

/**
 * An engine's probe: it reads what it is given, which has to be right, and answers with a number, with none, with
 * nonsense, or not at all. Threads: one call at a time.
 */
final class Asking implements QualityProbe {
  private final KvLayout layout;
  private final Workload workload;
  private final ManualClock clock;
  private final SplittableRandom random;
  private volatile AssertionError noticed;

  Asking(KvLayout layout, Workload workload, ManualClock clock, SplittableRandom random) {
    this.layout = layout;
    this.workload = workload;
    this.clock = clock;
    this.random = random;
  }

  /** Throws what a call found wrong; the cache takes that for a failure of the probe. */
  void rethrow() {
    if (noticed != null) {
      throw noticed;
    }
  }

  @Override
  public OptionalDouble quality(ChunkKey context, KvLease exact, KvLease lossy) throws Exception {
    clock.advance(random.nextLong(TimeUnit.MILLISECONDS.toNanos(20)));
    try {
      read(context, exact);
      read(context, lossy);
    } catch (AssertionError wrong) {
      noticed = wrong;
    }
    return switch (random.nextInt(40)) {
      case 0 -> throw new Exception("a probe that fails");
      case 1 -> OptionalDouble.of(Double.NaN);
      case 2 -> OptionalDouble.of(1.5);
      case 3, 4, 5 -> OptionalDouble.empty();
      case 6, 7, 8 -> OptionalDouble.of(0);
      default -> OptionalDouble.of(random.nextDouble());
    };
  }

  private void read(ChunkKey context, KvLease lease) {
    for (Prompt prompt : workload.prompts()) {
      int end = prompt.keys().indexOf(context) + 1;
      if (end > 0) {
        Prompt whole = workload.startOf(prompt, end);
        new OpenLease(layout, whole, lease, AcquireOptions.any().acceptingPruned(), "probe of " + context)
            .readAll("probe of " + context);
        return;
      }
    }
    throw new AssertionError("the probe is asked about " + context + ", which nobody stored");
  }
}
