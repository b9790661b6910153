package io.kvcache.tiers;

import java.io.IOException;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.ReentrantLock;

/**
 * One sync for all who ask at the same time. A sync that failed is never tried again: the kernel may have dropped
 * the pages it could not write, and a second try would report success for bytes that are gone.
 */
final class GroupSync {
  private final Action action;
  private final AtomicLong asked = new AtomicLong();
  private final ReentrantLock lock = new ReentrantLock();
  private long done;
  private IOException failure;

  /** What makes everything written so far durable. */
  @FunctionalInterface
  interface Action {
    void run() throws IOException;
  }

  GroupSync(Action action) {
    this.action = action;
  }

  /**
   * Returns once everything written before the call is durable.
   *
   * @throws IOException when this sync or an earlier one failed
   */
  void sync() throws IOException {
    long ticket = asked.incrementAndGet();
    lock.lock();
    try {
      if (failure != null) {
        throw new IOException("an earlier sync failed", failure);
      }
      if (done < ticket) {
        long covered = asked.get(); // all of these wrote before they asked, so before the sync starts
        action.run();
        done = covered;
      }
    } catch (IOException e) {
      if (failure == null) {
        failure = e;
      }
      throw e;
    } finally {
      lock.unlock();
    }
  }
}
