package io.kvcache.bench.placement;

import io.kvcache.spi.Deadline;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/**
 * The path to a medium, of fixed bandwidth and latency, on which transfers queue. Threads: any.
 *
 * <p>A transfer reserves the link's time from when the link is free, and its thread parks until that is over.
 */
final class Link {
  private final double nanosPerByte;
  private final long latencyNanos;
  private long nextFreeNanos = Long.MIN_VALUE;

  /**
   * A link that is free.
   *
   * @param bytesPerSecond above 0
   * @param latencyNanos from the end of a transfer until its caller has it; does not keep others waiting
   */
  Link(double bytesPerSecond, long latencyNanos) {
    if (!(bytesPerSecond > 0) || latencyNanos < 0) {
      throw new IllegalArgumentException(
          "bytesPerSecond is " + bytesPerSecond + ", latencyNanos " + latencyNanos
              + ", must be above 0 and at least 0");
    }
    this.nanosPerByte = TimeUnit.SECONDS.toNanos(1) / bytesPerSecond;
    this.latencyNanos = latencyNanos;
  }

  /**
   * Waits for a transfer that began at {@code startNanos} of {@link System#nanoTime}.
   *
   * @return false at once, and nothing is reserved, when it would end behind the deadline
   */
  boolean transfer(long bytes, long startNanos, Deadline deadline) {
    long end;
    synchronized (this) {
      long start =
          nextFreeNanos == Long.MIN_VALUE || nextFreeNanos - startNanos < 0 ? startNanos : nextFreeNanos;
      long free = start + (long) (bytes * nanosPerByte);
      end = free + latencyNanos;
      if (end - System.nanoTime() > deadline.remainingNanos()) {
        return false;
      }
      nextFreeNanos = free;
    }
    parkUntil(end);
    return true;
  }

  /** An interrupt neither shortens the transfer nor gets lost. */
  private void parkUntil(long endNanos) {
    boolean interrupted = false;
    for (long left = endNanos - System.nanoTime(); left > 0; left = endNanos - System.nanoTime()) {
      LockSupport.parkNanos(this, left);
      interrupted |= Thread.interrupted();
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
