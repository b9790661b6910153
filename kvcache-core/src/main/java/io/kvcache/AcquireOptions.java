package io.kvcache;

import java.time.Duration;
import java.util.Objects;

/**
 * What a look-up accepts.
 *
 * @param leastQuality quality a lossy chunk must have at least, 0 to 1; 1 accepts exact bytes only
 * @param deadline how long the look-up and the reads of its lease may take together
 * @param awaitPending whether to wait, up to the deadline, for chunks that are being stored right now
 * @param pruned which chunks of which tokens were dropped will do, which are read by {@link KvLease#kept}
 */
public record AcquireOptions(double leastQuality, Duration deadline, boolean awaitPending, Pruned pruned) {
  private static final Duration DEFAULT_DEADLINE = Duration.ofSeconds(10);

  /** Which tokens may have been dropped. */
  public enum Pruned {
    /** None. */
    NONE,
    /** The same in all layers and heads. */
    UNIFORM,
    /** Any in each. */
    ANY;

    /** Whether a chunk encoded so will do. */
    public boolean accepts(Encoding encoding) {
      return !encoding.dropsTokens() || this == ANY || (this == UNIFORM && encoding.uniform());
    }
  }

  /** Checks every component. */
  public AcquireOptions {
    if (!(leastQuality >= 0 && leastQuality <= 1)) {
      throw new IllegalArgumentException("leastQuality is " + leastQuality + ", must be 0 to 1");
    }
    Objects.requireNonNull(deadline, "deadline");
    Objects.requireNonNull(pruned, "pruned");
    if (deadline.isNegative()) {
      throw new IllegalArgumentException("deadline is " + deadline + ", must not be negative");
    }
  }

  /** Exact bytes only, within 10 seconds. */
  public static AcquireOptions exact() {
    return new AcquireOptions(1, DEFAULT_DEADLINE, false, Pruned.NONE);
  }

  /** Every token in whatever quality there is, within 10 seconds. */
  public static AcquireOptions any() {
    return atLeast(0);
  }

  /** Every token, in exact bytes or lossy ones of this quality, within 10 seconds. */
  public static AcquireOptions atLeast(double quality) {
    return new AcquireOptions(quality, DEFAULT_DEADLINE, false, Pruned.NONE);
  }

  /** With this deadline, counted from the look-up; it covers the reads of the lease too. */
  public AcquireOptions deadline(Duration within) {
    return new AcquireOptions(leastQuality, within, awaitPending, pruned);
  }

  /** Taking chunks of which tokens were dropped too, other ones in each layer and head. */
  public AcquireOptions acceptingPruned() {
    return new AcquireOptions(leastQuality, deadline, awaitPending, Pruned.ANY);
  }

  /** Taking chunks of which the same tokens were dropped in all layers and heads too. */
  public AcquireOptions acceptingUniformlyPruned() {
    return new AcquireOptions(leastQuality, deadline, awaitPending, Pruned.UNIFORM);
  }

  /** Waiting for chunks that are being stored right now, up to the deadline. */
  public AcquireOptions awaitingPending() {
    return new AcquireOptions(leastQuality, deadline, true, pruned);
  }
}
