package io.kvcache.tiers;

import java.io.IOException;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Watches that the index's files keep to what the books allow them. RocksDB decides itself when to drop what was
 * deleted; where it lags behind, it is made to, and nothing is accepted meanwhile. Thread-safe.
 */
final class IndexSize {
  private final SsdIndex index;
  private final Space space;
  private final long reserveBytes;
  private final AtomicLong unmeasuredBytes = new AtomicLong();
  private final ReentrantLock measuring = new ReentrantLock();
  private volatile boolean exceeded;

  IndexSize(SsdIndex index, Space space, long reserveBytes) {
    this.index = index;
    this.space = space;
    this.reserveBytes = reserveBytes;
  }

  /** Tells that about so many bytes were written, or are no longer charged although they may still be there. */
  void changed(long bytes) {
    unmeasuredBytes.addAndGet(bytes);
  }

  /**
   * Whether there is room for what is charged and for a compaction; measured now and then. Waits for a compaction under
   * way: what it is for is room.
   */
  boolean isWithinAllowance() throws IOException {
    if (isDue() && lock()) {
      try {
        if (isDue()) {
          unmeasuredBytes.set(0);
          exceeded = exceeds();
          if (exceeded) {
            index.compact();
            exceeded = exceeds();
          }
        }
      } finally {
        measuring.unlock();
      }
    }
    return !exceeded;
  }

  private boolean isDue() {
    return exceeded || unmeasuredBytes.get() >= reserveBytes / 32;
  }

  /** One measurement is as good as another; where it was exceeded, only the next one says whether it still is. */
  private boolean lock() {
    if (!exceeded) {
      return measuring.tryLock();
    }
    measuring.lock();
    return true;
  }

  /** Half of the reserve is left to a compaction, which writes before it deletes, and to what is written meanwhile. */
  private boolean exceeds() throws IOException {
    return index.physicalBytes() > space.indexAllowanceBytes() - reserveBytes / 2;
  }
}
