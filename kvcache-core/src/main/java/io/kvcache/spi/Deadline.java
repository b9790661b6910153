package io.kvcache.spi;

import java.util.Objects;
import java.util.function.LongSupplier;

/** A point in time, on the cache's clock, after which nobody waits for the result. */
public final class Deadline {
  private static final Deadline NEVER = new Deadline(() -> 0, Long.MAX_VALUE);

  private final LongSupplier nanoTime;
  private final long atNanos;

  private Deadline(LongSupplier nanoTime, long atNanos) {
    this.nanoTime = nanoTime;
    this.atNanos = atNanos;
  }

  /** No deadline. */
  public static Deadline never() {
    return NEVER;
  }

  /** {@code nanos} from now on {@code nanoTime}'s clock; never, when that is past its range. */
  public static Deadline after(long nanos, LongSupplier nanoTime) {
    Objects.requireNonNull(nanoTime, "nanoTime");
    return nanos > Long.MAX_VALUE / 2 ? NEVER : new Deadline(nanoTime, nanoTime.getAsLong() + nanos);
  }

  /** Nanoseconds left; 0 or less once expired, {@link Long#MAX_VALUE} for no deadline. */
  public long remainingNanos() {
    return this == NEVER ? Long.MAX_VALUE : atNanos - nanoTime.getAsLong();
  }

  /** Whether the time has come. */
  public boolean expired() {
    return remainingNanos() <= 0;
  }
}
