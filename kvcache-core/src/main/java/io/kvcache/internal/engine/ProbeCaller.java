package io.kvcache.internal.engine;

import io.kvcache.ChunkKey;
import io.kvcache.QualityProbe;
import java.time.Duration;
import java.util.OptionalDouble;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Calls the engine's probe on a thread of its own, and no longer than a while. A namespace for which it fails once, by
 * throwing, by taking too long or by answering nonsense, is not asked about again.
 */
final class ProbeCaller {
  private static final System.Logger LOG = System.getLogger("io.kvcache");

  private final Resources shared;
  private final QualityProbe probe;
  private final long timeoutNanos;
  private final Set<ChunkKey> givenUp = ConcurrentHashMap.newKeySet();

  /** A caller of {@code probe}; null when there is none. */
  ProbeCaller(Resources shared, QualityProbe probe, Duration timeout) {
    this.shared = shared;
    this.probe = probe;
    this.timeoutNanos = CacheEngine.nanos(timeout);
  }

  /**
   * What the probe says of a context; empty when it says nothing, and always after it failed for the namespace.
   *
   * @throws InterruptedException when the caller is to stop, which says nothing of the probe
   */
  OptionalDouble ask(ChunkKey root, ChunkKey context, EncodedLease exact, EncodedLease lossy)
      throws InterruptedException {
    if (probe == null || givenUp.contains(root)) {
      return OptionalDouble.empty();
    }
    CompletableFuture<OptionalDouble> answer = new CompletableFuture<>();
    Thread thread = Thread.ofPlatform().daemon().name("kvcache-probe").start(() -> {
      try {
        answer.complete(probe.quality(context, exact, lossy));
      } catch (Exception | Error e) {
        answer.completeExceptionally(e);
      }
    });
    try {
      OptionalDouble quality = answer.get(timeoutNanos, TimeUnit.NANOSECONDS);
      if (quality == null) {
        return failed(root, lossy, "quality is null, must be an OptionalDouble", null);
      }
      if (quality.isPresent() && !(quality.getAsDouble() >= 0 && quality.getAsDouble() <= 1)) {
        return failed(root, lossy, "quality is " + quality.getAsDouble() + ", must be 0 to 1", null);
      }
      return quality;
    } catch (ExecutionException e) {
      return failed(root, lossy, "it failed", e.getCause());
    } catch (TimeoutException e) {
      return failed(root, lossy, "no answer within " + Duration.ofNanos(timeoutNanos), null);
    } finally {
      thread.interrupt();
      // What it still reads it must have read before the context is given back.
      exact.revoke();
      lossy.revoke();
    }
  }

  private OptionalDouble failed(ChunkKey root, EncodedLease lossy, String problem, Throwable cause) {
    if (lossy.failed()) {
      return OptionalDouble.empty(); // the compressor is to blame
    }
    givenUp.add(root);
    shared.counters.probeFailures.increment();
    LOG.log(System.Logger.Level.WARNING,
        "the quality probe is not asked about a namespace any more: " + problem, cause);
    return OptionalDouble.empty();
  }
}
