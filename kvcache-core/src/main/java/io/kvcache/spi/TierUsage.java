package io.kvcache.spi;

/**
 * How full a tier is.
 *
 * @param capacityBytes hard limit on {@code usedBytes}; {@link Long#MAX_VALUE} where there is none
 * @param usedBytes bytes of the medium taken, overhead and claimed but uncommitted space included
 * @param entries committed entries
 */
public record TierUsage(long capacityBytes, long usedBytes, long entries) {
  /** Bytes still to be had, at least 0. */
  public long freeBytes() {
    return Math.max(0, capacityBytes - usedBytes);
  }
}
