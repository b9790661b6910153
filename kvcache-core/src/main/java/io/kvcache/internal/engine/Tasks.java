package io.kvcache.internal.engine;

import io.kvcache.spi.CacheRuntime;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.RejectedExecutionException;
import java.util.function.Supplier;

/** Runs what touches a medium on the library's own threads. */
final class Tasks {
  private Tasks() {}

  /**
   * Runs {@code step} here when the tier is memory, else on an I/O thread while the caller parks. An interrupt does
   * not end it: what it started has to be finished.
   */
  static <T> T onTier(CacheRuntime runtime, TierHandle tier, Supplier<T> step) {
    return tier.addressable() ? step.get() : onIo(runtime, step);
  }

  /** Runs {@code step} on an I/O thread while the caller parks. */
  static <T> T onIo(CacheRuntime runtime, Supplier<T> step) {
    try {
      return CompletableFuture.supplyAsync(step, runtime.io()).join();
    } catch (CompletionException e) {
      if (e.getCause() instanceof RuntimeException cause) {
        throw cause;
      }
      if (e.getCause() instanceof Error cause) {
        throw cause;
      }
      throw e;
    } catch (RejectedExecutionException e) {
      throw new IllegalStateException("the cache is closed", e);
    }
  }
}
