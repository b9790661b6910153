package io.kvcache.internal.engine;

import io.kvcache.spi.CacheRuntime;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Supplier;

/** Runs what touches a medium on the library's own threads. */
final class Tasks {
  /** Of the threads for I/O some are left to readers. */
  private static final int AT_A_TIME = 2;

  private Tasks() {}

  /**
   * Runs {@code step} here when the tier is memory, else on an I/O thread while the caller parks. An interrupt does
   * not end it: what it started has to be finished.
   */
  static <T> T onTier(CacheRuntime runtime, TierHandle tier, Supplier<T> step) {
    return tier.addressable() ? step.get() : onIo(runtime, step);
  }

  /**
   * Runs all of {@code steps}, here when the tier is memory, else a few at a time on I/O threads while the caller
   * parks: while one waits for the medium to sync, another writes. The results are in the steps' order.
   */
  static <T> List<T> allOnTier(CacheRuntime runtime, TierHandle tier, List<Supplier<T>> steps) {
    if (tier.addressable() || steps.size() == 1) {
      return steps.stream().map(step -> onTier(runtime, tier, step)).toList();
    }
    AtomicInteger next = new AtomicInteger();
    List<T> results = new ArrayList<>(Collections.nCopies(steps.size(), null));
    Supplier<Void> worker = () -> {
      for (int step = next.getAndIncrement(); step < steps.size(); step = next.getAndIncrement()) {
        results.set(step, steps.get(step).get());
      }
      return null;
    };
    List<CompletableFuture<Void>> workers = new ArrayList<>();
    try {
      for (int count = 0; count < Math.min(AT_A_TIME, steps.size()); count++) {
        workers.add(CompletableFuture.supplyAsync(worker, runtime.io()));
      }
    } catch (RejectedExecutionException closing) {
      next.set(steps.size());
      workers.forEach(each -> each.exceptionally(failure -> null).join());
      throw new IllegalStateException("the cache is closed", closing);
    }
    workers.forEach(each -> each.exceptionally(failure -> null).join()); // none may go on when this returns
    workers.forEach(Tasks::join);
    return results;
  }

  /** Runs {@code step} on an I/O thread while the caller parks. */
  static <T> T onIo(CacheRuntime runtime, Supplier<T> step) {
    try {
      return join(CompletableFuture.supplyAsync(step, runtime.io()));
    } catch (RejectedExecutionException e) {
      throw new IllegalStateException("the cache is closed", e);
    }
  }

  private static <T> T join(CompletableFuture<T> result) {
    try {
      return result.join();
    } catch (CompletionException e) {
      if (e.getCause() instanceof RuntimeException cause) {
        throw cause;
      }
      if (e.getCause() instanceof Error cause) {
        throw cause;
      }
      throw e;
    }
  }
}
