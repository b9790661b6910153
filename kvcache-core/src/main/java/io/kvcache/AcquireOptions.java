package io.kvcache;

import java.time.Duration;
import java.util.Objects;

/**
 * What a look-up accepts.
 *
 * @param leastQuality quality a lossy chunk must have at least, 0 to 1; 1 accepts exact bytes only
 * @param deadline how long the look-up and the reads of its lease may take together
 * @param awaitPending whether to wait, up to the deadline, for chunks that are being stored right now
 * @param pruned whether chunks of which tokens were dropped will do, which are read by {@link KvLease#kept}
 */
public record AcquireOptions(double leastQuality, Duration deadline, boolean awaitPending, boolean pruned) {
  private static final Duration DEFAULT_DEADLINE = Duration.ofSeconds(10);

  /** Checks every component. */
  public AcquireOptions {
    if (!(leastQuality >= 0 && leastQuality <= 1)) {
      throw new IllegalArgumentException("leastQuality is " + leastQuality + ", must be 0 to 1");
    }
    Objects.requireNonNull(deadline, "deadline");
    if (deadline.isNegative()) {
      throw new IllegalArgumentException("deadline is " + deadline + ", must not be negative");
    }
  }

  /** Exact bytes only, within 10 seconds. */
  public static AcquireOptions exact() {
    return new AcquireOptions(1, DEFAULT_DEADLINE, false, false);
  }

  /** Every token in whatever quality there is, within 10 seconds. */
  public static AcquireOptions any() {
    return atLeast(0);
  }

  /** Every token, in exact bytes or lossy ones of this quality, within 10 seconds. */
  public static AcquireOptions atLeast(double quality) {
    return new AcquireOptions(quality, DEFAULT_DEADLINE, false, false);
  }

  /** With this deadline, counted from the look-up; it covers the reads of the lease too. */
  public AcquireOptions deadline(Duration within) {
    return new AcquireOptions(leastQuality, within, awaitPending, pruned);
  }

  /** Taking chunks of which tokens were dropped too. */
  public AcquireOptions acceptingPruned() {
    return new AcquireOptions(leastQuality, deadline, awaitPending, true);
  }

  /** Waiting for chunks that are being stored right now, up to the deadline. */
  public AcquireOptions awaitingPending() {
    return new AcquireOptions(leastQuality, deadline, true, pruned);
  }
}
