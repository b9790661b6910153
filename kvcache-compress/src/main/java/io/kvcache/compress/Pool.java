package io.kvcache.compress;

import java.util.concurrent.atomic.AtomicReferenceArray;
import java.util.function.Supplier;

/**
 * A few working buffers, kept for the next caller. Not a {@code ThreadLocal}: with a virtual thread for every
 * request that would be one set of buffers for each request, none of them ever warm. There are as many slots
 * as processors, because no more callers than that can be inside a codec, which never blocks.
 */
final class Pool<T> {
  private final AtomicReferenceArray<T> slots;
  private final Supplier<T> factory;

  Pool(Supplier<T> factory) {
    this.slots = new AtomicReferenceArray<>(Math.clamp(Runtime.getRuntime().availableProcessors(), 1, 64));
    this.factory = factory;
  }

  /** A kept object, or a new one when all are in use. The caller owns it. */
  T take() {
    for (int i = 0; i < slots.length(); i++) {
      T kept = slots.getPlain(i) == null ? null : slots.getAndSet(i, null);
      if (kept != null) {
        return kept;
      }
    }
    return factory.get();
  }

  /** Keeps {@code returned} if a slot is free, and says whether there was one. */
  boolean give(T returned) {
    for (int i = 0; i < slots.length(); i++) {
      if (slots.getPlain(i) == null && slots.compareAndSet(i, null, returned)) {
        return true;
      }
    }
    return false;
  }
}
