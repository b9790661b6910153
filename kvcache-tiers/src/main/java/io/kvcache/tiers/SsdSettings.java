package io.kvcache.tiers;

import java.nio.file.Path;

/**
 * What a tier was asked to be, once and for all.
 *
 * @param freeSpaceFloorBytes as set; negative for the default
 * @param firstPauseNanos from a failure to the first attempt to open again
 * @param longestPauseNanos between two attempts
 */
record SsdSettings(Path directory, long capacityBytes, String name, long stagingBytes,
    long freeSpaceFloorBytes,
    long firstPauseNanos, long longestPauseNanos) {
  private static final long MOST_FLOOR_BYTES = 1 << 30;

  /** The tier, as messages call it. */
  String owner() {
    return "tier " + name + " in " + directory;
  }

  /** Free bytes of a filesystem of this size below which nothing is stored. */
  long floorBytes(long diskBytes) {
    return freeSpaceFloorBytes < 0 ? Math.min(MOST_FLOOR_BYTES, diskBytes / 20) : freeSpaceFloorBytes;
  }

  long reserveBytes() {
    return SsdOpening.reserveBytes(capacityBytes);
  }
}
