package io.kvcache.bench.placement;

import io.kvcache.tiers.DramTier;
import io.kvcache.tiers.SsdTier;

/**
 * The tiers that policies are compared on.
 *
 * @param dramBytes capacity of the memory tier
 * @param ssdBytes capacity of the disk tier
 * @param throttle how fast they may be
 */
public record Setting(long dramBytes, long ssdBytes, Throttle throttle) {
  /** What the disk tier sets aside for its index. */
  private static final long SSD_RESERVE_BYTES = 4L << 20;

  /** Tiers for these shares of a working set, but no smaller than tiers can be. */
  public static Setting ofShares(long workingSetBytes, double dramShare, double ssdShare, Throttle throttle) {
    return new Setting(Math.max(DramTier.MIN_CAPACITY_BYTES, (long) (workingSetBytes * dramShare)),
        Math.max(SsdTier.MIN_CAPACITY_BYTES, (long) (workingSetBytes * ssdShare) + SSD_RESERVE_BYTES),
        throttle);
  }

  /** The same tiers at another speed. */
  public Setting with(Throttle other) {
    return new Setting(dramBytes, ssdBytes, other);
  }
}
