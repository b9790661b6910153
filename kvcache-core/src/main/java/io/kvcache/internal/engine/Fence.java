package io.kvcache.internal.engine;

import java.util.function.LongSupplier;

/**
 * Keeps calls of one kind from a tier that fails at them. After {@value #FAILURES} failures in a row it stands for a
 * while, twice as long each time; the first call after that decides whether the tier has healed. Threads: any.
 */
final class Fence {
  private static final int FAILURES = 3;
  private static final long FIRST_NANOS = 1_000_000_000L;
  /** What a tier takes to heal by itself comes on top: both together must not keep a sound disk idle for long. */
  private static final long LONGEST_NANOS = 16 * FIRST_NANOS;

  private final LongSupplier nanoTime;
  private final Watcher watcher;
  private volatile int failuresInARow;
  private long nanos;
  /** Until a call has succeeded, though calls are let through in between. */
  private volatile boolean up;
  private volatile long standsUntil;

  /** Who is told when it goes up and when it is taken down. */
  interface Watcher {
    void raised(Exception cause);

    void taken();
  }

  Fence(LongSupplier nanoTime, Watcher watcher) {
    this.nanoTime = nanoTime;
    this.watcher = watcher;
  }

  /** Whether calls are kept away, now. */
  boolean stands() {
    return up && nanoTime.getAsLong() - standsUntil < 0;
  }

  void succeeded() {
    if (failuresInARow > 0 || up) {
      synchronized (this) {
        failuresInARow = 0;
        if (up) {
          up = false;
          nanos = 0;
          watcher.taken();
        }
      }
    }
  }

  synchronized void failed(Exception cause) {
    failuresInARow++;
    if (up || failuresInARow >= FAILURES) {
      raise(cause);
    }
  }

  /** Has it stand now, whatever came before. */
  synchronized void raise(Exception cause) {
    if (stands()) {
      return; // Calls that were under way when it went up say nothing about the time after it.
    }
    boolean first = !up;
    nanos = Math.clamp(nanos * 2, FIRST_NANOS, LONGEST_NANOS);
    standsUntil = nanoTime.getAsLong() + nanos;
    up = true;
    if (first) {
      watcher.raised(cause);
    }
  }
}
