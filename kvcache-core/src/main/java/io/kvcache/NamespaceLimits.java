package io.kvcache;

import java.time.Duration;
import java.util.Objects;

/**
 * What a namespace, and so the tenant it belongs to, may take and for how long. Start from {@link #none}.
 *
 * @param timeToLive how long what is stored may be used where the store does not say, at least a millisecond; zero for
 *     ever
 * @param quotaBytes most bytes of entries the namespace may have in each tier, at least 0; {@link Long#MAX_VALUE} for
 *     no limit but the tier's
 */
public record NamespaceLimits(Duration timeToLive, long quotaBytes) {
  private static final NamespaceLimits NONE = new NamespaceLimits(Duration.ZERO, Long.MAX_VALUE);

  /** Checks every component. */
  public NamespaceLimits {
    Objects.requireNonNull(timeToLive, "timeToLive");
    if (!timeToLive.isZero()) {
      Checks.requireMillisecond(timeToLive, "timeToLive");
    }
    Checks.requireBetween(quotaBytes, 0, Long.MAX_VALUE, "quotaBytes");
  }

  /** As much as the tiers hold, for ever. */
  public static NamespaceLimits none() {
    return NONE;
  }

  /** With what is stored usable for so long, at least a millisecond, where the store does not say. */
  public NamespaceLimits timeToLive(Duration time) {
    return new NamespaceLimits(Checks.requireMillisecond(time, "timeToLive"), quotaBytes);
  }

  /** With at most so many bytes of entries in each tier, at least 0. */
  public NamespaceLimits quotaBytes(long most) {
    return new NamespaceLimits(timeToLive, most);
  }
}
