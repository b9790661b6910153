package io.kvcache.tiers;

import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;

/**
 * Tries to heal something again and again, with longer and longer pauses, until that succeeds. In a thread of its own,
 * which is there only as long as there is something to heal: callers have no time for it, and may not come. Threads:
 * any.
 */
final class SsdHealer implements AutoCloseable {
  private static final long LONGEST_END_MILLIS = 5_000;

  private final String owner;
  private final BooleanSupplier attempt;
  private final long firstPauseNanos;
  private final long longestPauseNanos;
  private Thread thread;
  /** Whether something failed since the latest attempt began. */
  private boolean asked;
  private long pauseNanos;
  private boolean healedBefore;
  private long healedAt;
  private volatile boolean closed;

  /**
   * Nothing to heal yet.
   *
   * @param attempt says whether nothing is left to heal
   */
  SsdHealer(String owner, BooleanSupplier attempt, long firstPauseNanos, long longestPauseNanos) {
    this.owner = owner;
    this.attempt = attempt;
    this.firstPauseNanos = firstPauseNanos;
    this.longestPauseNanos = longestPauseNanos;
  }

  /** Something failed: sees to it, soon. */
  synchronized void wake() {
    asked = true;
    if (thread == null && !closed) {
      boolean again = healedBefore && System.nanoTime() - healedAt < longestPauseNanos;
      if (!again) {
        pauseNanos = firstPauseNanos; // else what was healed has failed again at once, and pauses grow on
      }
      thread = Thread.ofPlatform().daemon().name("kvcache heals " + owner).start(this::run);
    }
  }

  private void run() {
    do {
      pause();
    } while (!closed && !healed());
  }

  /** Not ended by an interrupt: that would close the files that an attempt is using. */
  private void pause() {
    long nanos = nextPause();
    long start = System.nanoTime();
    for (long left = nanos; left > 0 && !closed; left = nanos - (System.nanoTime() - start)) {
      LockSupport.parkNanos(this, left);
    }
  }

  private synchronized long nextPause() {
    asked = false;
    long next = pauseNanos;
    pauseNanos = next > longestPauseNanos / 2 ? longestPauseNanos : 2 * next;
    return next;
  }

  private boolean healed() {
    boolean success = attempt.getAsBoolean();
    synchronized (this) {
      boolean over = success && !asked;
      if (over) {
        healedBefore = true;
        healedAt = System.nanoTime();
        thread = null; // the next failure starts another
      }
      return over;
    }
  }

  /** No attempts any more; waits for one under way, but not for ever. */
  @Override
  public void close() {
    Thread running;
    synchronized (this) {
      closed = true;
      running = thread;
    }
    if (running != null) {
      LockSupport.unpark(running);
      try {
        running.join(LONGEST_END_MILLIS);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt(); // it ends by itself
      }
    }
  }
}
