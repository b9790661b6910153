package io.kvcache.bench.placement;

import io.kvcache.spi.CacheRuntime;
import java.util.concurrent.Executor;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/** Knows when a cache has nothing left to do in the background, so that requests need not compete with it. */
final class Background {
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition idle = lock.newCondition();
  private int tasks;

  /** A runtime like the system's, for one cache. */
  CacheRuntime runtime() {
    CacheRuntime system = CacheRuntime.system();
    Executor background = system.background();
    return new CacheRuntime(system.nanoTime(), system.wallClock(), system.random(), system.io(), task -> {
      count(1);
      try {
        background.execute(() -> {
          try {
            task.run();
          } finally {
            count(-1);
          }
        });
      } catch (RuntimeException refused) {
        count(-1);
        throw refused;
      }
    }, system.events(), system.onClose());
  }

  private void count(int change) {
    lock.lock();
    try {
      tasks += change;
      idle.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /** Waits until no move waits or is under way. */
  void awaitIdle() {
    lock.lock();
    try {
      while (tasks > 0) {
        idle.awaitUninterruptibly();
      }
    } finally {
      lock.unlock();
    }
  }
}
