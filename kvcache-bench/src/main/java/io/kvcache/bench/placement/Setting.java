package io.kvcache.bench.placement;

import io.kvcache.bench.Machine;
import io.kvcache.bench.serving.WorkingSet;
import io.kvcache.tiers.DramTier;
import io.kvcache.tiers.SsdTier;

/**
 * The tiers that policies are compared on.
 *
 * @param dramBytes capacity of the memory tier, at most this machine's memory
 * @param ssdBytes capacity of the disk tier
 * @param throttle how fast they may be
 */
public record Setting(long dramBytes, long ssdBytes, Throttle throttle) {
  /** What the disk tier sets aside for its index. */
  private static final long SSD_RESERVE_BYTES = 4L << 20;

  /** Checks the components: a tier would refuse them too, but minutes later. */
  public Setting {
    long memory = Machine.memoryBytes();
    if (dramBytes < DramTier.MIN_CAPACITY_BYTES || dramBytes > memory) {
      throw new IllegalArgumentException("DRAM has " + dramBytes + " bytes, must be "
          + DramTier.MIN_CAPACITY_BYTES + " to " + memory + ", this machine's memory");
    }
    if (ssdBytes < SsdTier.MIN_CAPACITY_BYTES) {
      throw new IllegalArgumentException(
          "SSD has " + ssdBytes + " bytes, must be at least " + SsdTier.MIN_CAPACITY_BYTES);
    }
  }

  /**
   * Tiers for these shares of what documents have, but no smaller than tiers can be, and with a memory tier that can
   * take in each document: where it cannot, a policy that stores there first stores nothing, which says nothing about
   * the policy.
   */
  public static Setting ofShares(WorkingSet documents, double dramShare, double ssdShare, Throttle throttle) {
    long dram = Math.max(documents.leastDramBytes(), (long) (documents.bytes() * dramShare));
    long ssd = (long) (documents.bytes() * ssdShare) + SSD_RESERVE_BYTES;
    return new Setting(Math.max(DramTier.MIN_CAPACITY_BYTES, dram),
        Math.max(SsdTier.MIN_CAPACITY_BYTES, ssd), throttle);
  }

  /** The same tiers at another speed. */
  public Setting with(Throttle other) {
    return new Setting(dramBytes, ssdBytes, other);
  }
}
