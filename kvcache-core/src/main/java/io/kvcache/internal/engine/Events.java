package io.kvcache.internal.engine;

import io.kvcache.CacheEvent;
import java.util.Queue;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.Consumer;

/**
 * Tells a listener of events, in order, one at a time. Nobody waits for it: of a listener that falls behind events are
 * kept from, and counted. Threads: any.
 */
final class Events implements Consumer<CacheEvent> {
  private static final System.Logger LOG = System.getLogger("io.kvcache");
  /** Most events that wait for the listener. */
  static final int MOST_WAITING = 4096;

  private final Consumer<CacheEvent> listener;
  private final Executor executor;
  private final Queue<CacheEvent> waiting = new ArrayBlockingQueue<>(MOST_WAITING);
  private final AtomicBoolean delivering = new AtomicBoolean();
  private final LongAdder dropped = new LongAdder();

  /**
   * Events for a listener.
   *
   * @param listener null when nobody listens: then an event costs nothing
   * @param executor where it is told of them
   */
  Events(Consumer<CacheEvent> listener, Executor executor) {
    this.listener = listener;
    this.executor = executor;
  }

  @Override
  public void accept(CacheEvent event) {
    if (listener == null) {
      return;
    }
    if (!waiting.offer(event)) {
      dropped.increment();
    }
    if (delivering.compareAndSet(false, true)) {
      try {
        executor.execute(this::deliver);
      } catch (RejectedExecutionException closing) {
        // After the cache is closed nobody listens.
        delivering.set(false);
      }
    }
  }

  /** Events the listener was not told of. */
  long dropped() {
    return dropped.sum();
  }

  private void deliver() {
    do {
      try {
        for (CacheEvent event = waiting.poll(); event != null; event = waiting.poll()) {
          tell(event);
        }
      } finally {
        delivering.set(false);
      }
      // What came after the last look found somebody delivering, and left it to us.
    } while (!waiting.isEmpty() && delivering.compareAndSet(false, true));
  }

  private void tell(CacheEvent event) {
    try {
      listener.accept(event);
    } catch (RuntimeException e) {
      LOG.log(System.Logger.Level.WARNING, "the event listener failed on " + event, e);
    }
  }
}
