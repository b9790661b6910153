package io.kvcache.tiers;

import io.kvcache.spi.EntryId;
import io.kvcache.spi.TierWrite;
import java.io.IOException;
import java.lang.foreign.MemorySegment;

/** A claim on an {@link SsdTier}, with the memory in which its parts wait for the commit. */
final class SsdWrite implements TierWrite {
  private final SsdTier tier;
  private final EntryId id;
  private final byte[] note;
  private final long[] claimedBytes;
  private final MemorySegment[] staged;
  private boolean ended;

  /** Takes ownership of the arrays. */
  SsdWrite(SsdTier tier, EntryId id, byte[] note, long[] claimedBytes, MemorySegment[] staged) {
    this.tier = tier;
    this.id = id;
    this.note = note;
    this.claimedBytes = claimedBytes;
    this.staged = staged;
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
    return isSmall(claimedBytes[part]);
  }

  private static boolean isSmall(long bytes) {
    return bytes < SsdEntry.SMALL_PART_BYTES;
  }

  /** Pages claimed for the parts that go into extents. */
  long claimedPages() {
    return pages(claimedBytes);
  }

  /** Bytes claimed of the index. */
  long claimedIndexBytes() {
    return indexBytes(claimedBytes);
  }

  /** Pages that a claim of these lengths takes for the parts that go into extents. */
  static long pages(long[] partBytes) {
    long pages = 0;
    for (long bytes : partBytes) {
      pages += isSmall(bytes) ? 0 : Pages.holding(bytes);
    }
    return pages;
  }

  /** Bytes that a claim of these lengths takes of the index. */
  static long indexBytes(long[] partBytes) {
    int smallParts = 0;
    long smallBytes = 0;
    for (long bytes : partBytes) {
      if (isSmall(bytes)) {
        smallParts++;
        smallBytes += bytes;
      }
    }
    return SsdEntry.indexBytes(partBytes.length, smallParts, smallBytes, pages(partBytes));
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
