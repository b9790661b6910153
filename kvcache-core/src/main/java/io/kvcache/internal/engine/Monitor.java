package io.kvcache.internal.engine;

import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;

/** State under one lock, in which every method is one atomic step, and changes that others can wait for. */
abstract class Monitor {
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private long changes;

  /** Takes a step while holding the lock. */
  final <T> T locked(Supplier<T> step) {
    lock.lock();
    try {
      return step.get();
    } finally {
      lock.unlock();
    }
  }

  /** Says, while holding the lock, that something changed that others may wait for. */
  final void signal() {
    changes++;
    changed.signalAll();
  }

  /** Has everyone who waits for a change look again. */
  final void wakeAll() {
    locked(() -> {
      signal();
      return null;
    });
  }

  /** A number that grows with every change; see {@link #awaitChange}. */
  final long changes() {
    return locked(() -> changes);
  }

  /** Waits for a change after {@code seen}; false when the time is over, or the thread is interrupted, first. */
  final boolean awaitChange(long seen, long nanos) {
    lock.lock();
    try {
      long left = nanos;
      while (changes == seen && left > 0) {
        left = changed.awaitNanos(left);
      }
      return changes != seen;
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      return false;
    } finally {
      lock.unlock();
    }
  }

  /** Waits until {@code over}, which is asked while holding the lock, after every change. */
  final void awaitUntil(BooleanSupplier over) {
    locked(() -> {
      while (!over.getAsBoolean()) {
        changed.awaitUninterruptibly();
      }
      return null;
    });
  }
}
