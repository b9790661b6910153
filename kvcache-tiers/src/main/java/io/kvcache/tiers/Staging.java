package io.kvcache.tiers;

import io.kvcache.internal.memory.LargePages;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

/**
 * A bounded pool of page-aligned memory in which entries wait to be written. Reserved as a whole at the first use,
 * because allocating may clear it. Thread-safe.
 */
final class Staging implements AutoCloseable {
  private final long bytes;
  private final FreeExtents free = new FreeExtents();
  private final Arena arena = Arena.ofShared();
  private MemorySegment memory;

  Staging(long bytes) {
    this.bytes = bytes / Pages.BYTES * Pages.BYTES;
    free.add(0, this.bytes / Pages.BYTES);
  }

  long bytes() {
    return bytes;
  }

  /**
   * One segment per part, whole pages, to be given back together; empty when not all can be had, be it that the process
   * has no memory for any now.
   */
  synchronized Optional<MemorySegment[]> take(long[] partBytes) {
    if (memory == null) {
      try {
        memory = LargePages.allocate(arena, bytes);
      } catch (OutOfMemoryError e) {
        return Optional.empty();
      }
    }
    MemorySegment[] parts = new MemorySegment[partBytes.length];
    for (int i = 0; i < parts.length; i++) {
      long start = free.take(Pages.holding(partBytes[i]));
      if (start < 0) {
        give(parts);
        return Optional.empty();
      }
      parts[i] = memory.asSlice(start * Pages.BYTES, Pages.roundUp(partBytes[i]));
    }
    return Optional.of(parts);
  }

  /** Whether {@link #take} would succeed now. */
  synchronized boolean has(long[] partBytes) {
    Optional<MemorySegment[]> parts = take(partBytes);
    parts.ifPresent(this::give);
    return parts.isPresent();
  }

  /** Takes segments back; nulls are passed over. */
  synchronized void give(MemorySegment[] parts) {
    for (MemorySegment part : parts) {
      if (part != null) {
        free.add((part.address() - memory.address()) / Pages.BYTES, part.byteSize() / Pages.BYTES);
      }
    }
  }

  /** Frees the memory; segments still out can no longer be accessed. */
  @Override
  public void close() {
    arena.close();
  }
}
