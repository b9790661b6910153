package io.kvcache.tiers;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.LongAdder;

/**
 * Counts writes and views that are open and, when tracing, remembers where each was taken. Tracing costs some
 * microseconds a handle.
 */
final class OpenHandles {
  /** Places named in a report: one leak in a loop needs no more. */
  private static final int MOST_NAMED = 5;

  private final boolean tracing;
  private final LongAdder count = new LongAdder();
  private final Map<Object, StackTraceElement[]> taken = new ConcurrentHashMap<>();

  OpenHandles(boolean tracing) {
    this.tracing = tracing;
  }

  /** Notes a handle, told apart by identity. */
  void opened(Object handle) {
    count.increment();
    if (tracing) {
      taken.put(handle, new Throwable().getStackTrace());
    }
  }

  void closed(Object handle) {
    count.decrement();
    if (tracing) {
      taken.remove(handle);
    }
  }

  /** Handles open; exact once no other thread opens or closes any. */
  long count() {
    return count.sum();
  }

  /** Where some of the open handles were taken, a stack each; how to find out, when not tracing. */
  String describe() {
    if (!tracing) {
      return "run with -D" + DramTier.TRACE_PROPERTY + "=true to see where they were taken";
    }
    StringBuilder text = new StringBuilder("taken at");
    taken.values().stream().limit(MOST_NAMED).forEach(stack -> {
      for (StackTraceElement frame : stack) {
        text.append(System.lineSeparator()).append("    ").append(frame);
      }
      text.append(System.lineSeparator()).append("    --");
    });
    return text.toString();
  }
}
