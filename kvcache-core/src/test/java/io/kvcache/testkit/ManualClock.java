package io.kvcache.testkit;

import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongSupplier;

/** A clock in nanoseconds that stands still until told otherwise. Threads: any. */
public final class ManualClock implements LongSupplier {
  private final AtomicLong nanos;

  /** Starts at 0. */
  public ManualClock() {
    this(0);
  }

  /** Starts at {@code nanos}, which like those of {@link System#nanoTime} may be anything. */
  public ManualClock(long nanos) {
    this.nanos = new AtomicLong(nanos);
  }

  @Override
  public long getAsLong() {
    return nanos.get();
  }

  /** Moves on by so many nanoseconds, at least 0. */
  public void advance(long byNanos) {
    if (byNanos < 0) {
      throw new IllegalArgumentException("byNanos is " + byNanos + ", must be at least 0");
    }
    nanos.addAndGet(byNanos);
  }
}
