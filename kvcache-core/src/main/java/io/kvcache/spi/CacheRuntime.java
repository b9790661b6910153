package io.kvcache.spi;

import java.time.InstantSource;
import java.util.Objects;
import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ThreadFactory;
import java.util.function.LongSupplier;
import java.util.random.RandomGenerator;

/**
 * What a cache takes from its surroundings, so that all of it can run in a deterministic simulation.
 *
 * @param nanoTime a clock that never goes back, for deadlines and recency
 * @param wallClock the time of day, for what is kept across restarts
 * @param random for generations that no other process uses
 * @param io runs reads of tiers, several at a time
 * @param background runs migrations, one at a time
 * @param events delivers events, one at a time
 * @param onClose called when the cache is closed
 */
public record CacheRuntime(
    LongSupplier nanoTime,
    InstantSource wallClock,
    RandomGenerator random,
    Executor io,
    Executor background,
    Executor events,
    Runnable onClose) {
  private static final int IO_THREADS = 4;

  /** Checks every component. */
  public CacheRuntime {
    Objects.requireNonNull(nanoTime, "nanoTime");
    Objects.requireNonNull(wallClock, "wallClock");
    Objects.requireNonNull(random, "random");
    Objects.requireNonNull(io, "io");
    Objects.requireNonNull(background, "background");
    Objects.requireNonNull(events, "events");
    Objects.requireNonNull(onClose, "onClose");
  }

  /**
   * The system's clocks, and a bounded number of platform threads: blocking file and native calls on virtual threads
   * would freeze their carriers.
   */
  public static CacheRuntime system() {
    ExecutorService io = Executors.newFixedThreadPool(IO_THREADS, threads("kvcache-io-"));
    ExecutorService background = Executors.newSingleThreadExecutor(threads("kvcache-migrate-"));
    ExecutorService events = Executors.newSingleThreadExecutor(threads("kvcache-events-"));
    return new CacheRuntime(System::nanoTime, InstantSource.system(), RandomGenerator.getDefault(), io,
        background, events, () -> {
          io.shutdown();
          background.shutdown();
          events.shutdown();
        });
  }

  private static ThreadFactory threads(String prefix) {
    return Thread.ofPlatform().daemon().name(prefix, 0).factory();
  }
}
