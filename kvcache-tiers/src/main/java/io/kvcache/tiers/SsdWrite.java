package io.kvcache.tiers;

import io.kvcache.spi.EntryId;
import io.kvcache.spi.TierWrite;
import java.io.IOException;
import java.lang.foreign.MemorySegment;

/** A claim on an {@link SsdTier}, with the memory in which its parts wait for the commit. */
final class SsdWrite implements TierWrite {
  private final SsdTier tier;
  private final SsdStore store;
  private final EntryId id;
  private final byte[] note;
  private final long[] claimedBytes;
  private final MemorySegment[] staged;
  private final boolean smallInIndex;
  private boolean ended;

  /**
   * Takes ownership of the arrays.
   *
   * @param store which has the room that is claimed
   * @param smallInIndex whether small parts go into the index; else every part has extents
   */
  SsdWrite(SsdTier tier, SsdStore store, EntryId id, byte[] note, long[] claimedBytes, MemorySegment[] staged,
      boolean smallInIndex) {
    this.tier = tier;
    this.store = store;
    this.smallInIndex = smallInIndex;
    this.id = id;
    this.note = note;
    this.claimedBytes = claimedBytes;
    this.staged = staged;
  }

  SsdStore store() {
    return store;
  }

  EntryId id() {
    return id;
  }

  byte[] note() {
    return note;
  }

  MemorySegment[] staged() {
    return staged;
  }

  int parts() {
    return claimedBytes.length;
  }

  /** Whether a part goes into the index; decided by what was claimed for it, since that is where it was claimed. */
  boolean isSmall(int part) {
    return smallInIndex && isSmall(claimedBytes[part]);
  }

  private static boolean isSmall(long bytes) {
    return bytes < SsdEntry.SMALL_PART_BYTES;
  }

  /** Pages claimed for the parts that go into extents. */
  long claimedPages() {
    return pages(claimedBytes, smallInIndex);
  }

  /** Bytes claimed of the index. */
  long claimedIndexBytes() {
    return indexBytes(claimedBytes, smallInIndex);
  }

  /** Pages that a claim of these lengths takes for the parts that go into extents. */
  static long pages(long[] partBytes, boolean smallInIndex) {
    long pages = 0;
    for (long bytes : partBytes) {
      pages += smallInIndex && isSmall(bytes) ? 0 : Pages.holding(bytes);
    }
    return pages;
  }

  /** Bytes that a claim of these lengths takes of the index. */
  static long indexBytes(long[] partBytes, boolean smallInIndex) {
    int smallParts = 0;
    long smallBytes = 0;
    for (long bytes : partBytes) {
      if (smallInIndex && isSmall(bytes)) {
        smallParts++;
        smallBytes += bytes;
      }
    }
    return SsdEntry.indexBytes(partBytes.length, smallParts, smallBytes,
        pages(partBytes, smallInIndex));
  }

  @Override
  public synchronized MemorySegment part(int index) {
    requireNotEnded();
    return staged[index];
  }

  @Override
  public synchronized void commit(long[] partBytes) throws IOException {
    requireNotEnded();
    requireLengths(partBytes);
    try {
      tier.commit(this, partBytes);
    } finally {
      ended = true;
    }
  }

  @Override
  public synchronized void close() {
    if (!ended) {
      ended = true;
      tier.abandon(this);
    }
  }

  private void requireNotEnded() {
    if (ended) {
      throw new IllegalStateException("write of " + id + " is over");
    }
  }

  private void requireLengths(long[] partBytes) {
    if (partBytes.length != parts()) {
      throw new IllegalArgumentException(
          "lengths of " + partBytes.length + " parts, claimed were " + parts());
    }
    for (int i = 0; i < parts(); i++) {
      if (partBytes[i] < 1 || partBytes[i] > claimedBytes[i]) {
        throw new IllegalArgumentException(
            "part " + i + " has " + partBytes[i] + " bytes, must be 1 to " + claimedBytes[i]);
      }
    }
  }
}
