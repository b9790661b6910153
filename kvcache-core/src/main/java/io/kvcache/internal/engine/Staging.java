package io.kvcache.internal.engine;

import io.kvcache.internal.memory.LargePages;
import io.kvcache.spi.Deadline;
import io.kvcache.spi.Tier;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * A bounded pool of aligned buffers, each as large as the largest part, into which tiers read. Allocated as needed,
 * never given back before the cache closes.
 */
final class Staging {
  private static final int LEAST_BUFFERS = 4;
  private static final long BATCH_BYTES = 8 << 20;
  /** The part being copied, and the half being encoded anew. */
  private static final int MOVER_BUFFERS = 2;

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition freed = lock.newCondition();
  private final Arena arena = Arena.ofShared();
  private final Deque<MemorySegment> free = new ArrayDeque<>();
  private final long bufferBytes;
  private final int mostBuffers;
  private final int mostRetained;
  private int allocated;
  private int taken;
  private int retained;
  private boolean closed;

  private Staging(long bufferBytes, int mostBuffers) {
    this.bufferBytes = bufferBytes;
    this.mostBuffers = mostBuffers;
    mostRetained = mostBuffers / 2;
  }

  /** For leases: what {@code limitBytes} leave beside the mover's, but enough to work with. */
  static Staging forLeases(long limitBytes, long largestPart) {
    long bytes = bufferBytes(largestPart);
    return new Staging(bytes,
        Math.clamp(limitBytes / bytes - MOVER_BUFFERS, LEAST_BUFFERS, Integer.MAX_VALUE));
  }

  /**
   * For the mover alone, and enough for one move. Who waits for a move may hold leases' buffers, or the threads that
   * would give them back: the mover must never wait for them in turn.
   */
  static Staging forMover(long largestPart) {
    return new Staging(bufferBytes(largestPart), MOVER_BUFFERS);
  }

  /** A pool of one buffer as large as those of this one, which whoever asked for it closes. */
  Staging single() {
    return new Staging(bufferBytes, 1);
  }

  private static long bufferBytes(long largestPart) {
    return (largestPart + Tier.ALIGNMENT - 1) & -Tier.ALIGNMENT;
  }

  /** A buffer, of undefined content; null when the deadline passes or the thread is interrupted first. */
  Buffer take(Deadline deadline) {
    lock.lock();
    try {
      while (!closed && free.isEmpty() && allocated == mostBuffers) {
        long left = deadline.remainingNanos();
        if (left <= 0) {
          return null;
        }
        freed.await(left, TimeUnit.NANOSECONDS);
      }
      if (closed) {
        return null;
      }
      if (free.isEmpty()) {
        allocate();
      }
      taken++;
      return new Buffer(free.pop());
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      return null;
    } finally {
      lock.unlock();
    }
  }

  /** Several at once, where they are small: a large page holds many. */
  private void allocate() {
    int count = Math.clamp(BATCH_BYTES / bufferBytes, 1, mostBuffers - allocated);
    MemorySegment batch = LargePages.allocate(arena, count * bufferBytes);
    for (int at = 0; at < count; at++) {
      free.add(batch.asSlice(at * bufferBytes, bufferBytes));
    }
    allocated += count;
  }

  /** Buffers taken and not given back. */
  int taken() {
    lock.lock();
    try {
      return taken;
    } finally {
      lock.unlock();
    }
  }

  /** Frees the memory once every buffer is back. */
  void close() {
    lock.lock();
    try {
      closed = true;
      freed.signalAll();
      if (taken == 0) {
        arena.close();
      }
    } finally {
      lock.unlock();
    }
  }

  /** One buffer, the taker's until closed. */
  final class Buffer implements AutoCloseable {
    private final MemorySegment segment;
    private boolean keeps;
    private boolean back;

    private Buffer(MemorySegment segment) {
      this.segment = segment;
    }

    MemorySegment segment() {
      return segment;
    }

    /**
     * Asks to hold the buffer beyond one use. At most half of all buffers may be, so that there are always some that
     * come back.
     */
    boolean retain() {
      lock.lock();
      try {
        if (!back && !keeps && retained < mostRetained) {
          retained++;
          keeps = true;
        }
        return keeps && !back;
      } finally {
        lock.unlock();
      }
    }

    @Override
    public void close() {
      lock.lock();
      try {
        if (!back) {
          back = true;
          retained -= keeps ? 1 : 0;
          taken--;
          free.push(segment);
          freed.signal();
          if (closed && taken == 0) {
            arena.close();
          }
        }
      } finally {
        lock.unlock();
      }
    }
  }
}
