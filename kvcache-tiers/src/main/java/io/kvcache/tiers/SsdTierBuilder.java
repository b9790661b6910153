package io.kvcache.tiers;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Objects;

/** Settings of an {@link SsdTier}. Not thread-safe. */
public final class SsdTierBuilder {
  private static final long DEFAULT_STAGING_BYTES = 64 << 20;
  private static final long FIRST_PAUSE_NANOS = 1_000_000_000L;
  /** With the cache's own fence, which doubles as well, a tier is back within half a minute of its disk. */
  private static final long LONGEST_PAUSE_NANOS = 8 * FIRST_PAUSE_NANOS;

  private final Path directory;
  private final long capacityBytes;
  private String name = "ssd";
  private long stagingBytes = DEFAULT_STAGING_BYTES;
  private long freeSpaceFloorBytes = -1;
  private long firstPauseNanos = FIRST_PAUSE_NANOS;
  private long longestPauseNanos = LONGEST_PAUSE_NANOS;

  SsdTierBuilder(Path directory, long capacityBytes) {
    this.directory = Objects.requireNonNull(directory, "directory");
    this.capacityBytes = requireAtLeast(capacityBytes, SsdTier.MIN_CAPACITY_BYTES, "capacityBytes");
  }

  /** How the tier is called in metrics and logs; {@code ssd} unless set. */
  public SsdTierBuilder name(String value) {
    if (value.isBlank()) {
      throw new IllegalArgumentException("name is blank");
    }
    name = value;
    return this;
  }

  /**
   * Memory for entries that are being written, in bytes: 64 MiB unless set. An entry larger than this cannot be
   * stored, and so many can be written at a time as fit.
   */
  public SsdTierBuilder stagingBytes(long value) {
    stagingBytes = requireAtLeast(value, SsdEntry.SMALL_PART_BYTES, "stagingBytes");
    return this;
  }

  /**
   * Free bytes of the filesystem below which nothing is stored any more; unless set, 1 GiB or a twentieth of the
   * filesystem, whichever is less.
   */
  public SsdTierBuilder freeSpaceFloorBytes(long value) {
    freeSpaceFloorBytes = requireAtLeast(value, 0, "freeSpaceFloorBytes");
    return this;
  }

  /**
   * Opens the tier, with what is stored there. Entries that do not fit a capacity smaller than before are dropped:
   * those that lie furthest back in the files, or any where the index itself is too large.
   *
   * @throws IllegalArgumentException when the capacity is more than the filesystem has
   * @throws IOException when the directory cannot be used: not writable, in use, not a tier's, or of another
   *     format version
   */
  public SsdTier open() throws IOException {
    requireRocksDb();
    SsdSettings settings = new SsdSettings(directory, capacityBytes, name, stagingBytes, freeSpaceFloorBytes,
        firstPauseNanos, longestPauseNanos);
    DirectoryLock lock = SsdOpening.lock(directory, capacityBytes);
    try {
      return new SsdTier(settings, lock);
    } catch (IOException | RuntimeException | Error e) { // the last, where there is no native library, or memory
      lock.close();
      throw e;
    }
  }

  /** For tests: how long to wait before the directory is opened again after a failure, at first and at most. */
  SsdTierBuilder pauses(long firstNanos, long longestNanos) {
    firstPauseNanos = firstNanos;
    longestPauseNanos = longestNanos;
    return this;
  }

  private static void requireRocksDb() {
    try {
      Class.forName("org.rocksdb.RocksDB", false, SsdTier.class.getClassLoader());
    } catch (ClassNotFoundException e) {
      throw new IllegalStateException("an SSD tier needs org.rocksdb:rocksdbjni on the path", e);
    }
  }

  private static long requireAtLeast(long value, long least, String what) {
    if (value < least) {
      throw new IllegalArgumentException(what + " is " + value + ", must be at least " + least);
    }
    return value;
  }
}
