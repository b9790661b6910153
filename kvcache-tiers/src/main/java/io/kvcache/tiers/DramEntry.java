package io.kvcache.tiers;

import io.kvcache.spi.EntryId;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

/**
 * A committed entry: its memory, its note, and how many hold it. The map it stands in counts as one holder,
 * every view and running read as another; whoever gives up the last reference frees the memory.
 */
final class DramEntry {
  private static final VarHandle REFERENCES;

  static {
    try {
      REFERENCES = MethodHandles.lookup().findVarHandle(DramEntry.class, "references", int.class);
    } catch (ReflectiveOperationException e) {
      throw new ExceptionInInitializerError(e);
    }
  }

  final EntryId id;
  final PageRun[] runs;
  private final Packing packing;
  private final long[] partBytes;

  /** Replaced, never changed. */
  volatile byte[] note;

  @SuppressWarnings("unused") // through REFERENCES
  private volatile int references = 1;

  DramEntry(EntryId id, byte[] note, PageRun[] runs, Packing packing, long[] partBytes) {
    this.id = id;
    this.note = note;
    this.runs = runs;
    this.packing = packing;
    this.partBytes = partBytes;
  }

  int parts() {
    return partBytes.length;
  }

  long partBytes(int part) {
    return partBytes[part];
  }

  /** A part, as long as was committed, read-only. */
  MemorySegment part(int part) {
    return runs[packing.runOf(part)].memory(packing.offsetOf(part), partBytes[part]).asReadOnly();
  }

  /** Adds a holder; false when there is none left and the memory may be gone. */
  boolean tryRetain() {
    int seen = references;
    while (seen > 0) {
      int witness = (int) REFERENCES.compareAndExchange(this, seen, seen + 1);
      if (witness == seen) {
        return true;
      }
      seen = witness;
    }
    return false;
  }

  /**
   * Gives up one reference.
   *
   * @return whether it was the last
   * @throws IllegalStateException when there was none: somebody released twice
   */
  boolean release() {
    int left = (int) REFERENCES.getAndAdd(this, -1) - 1;
    if (left < 0) {
      throw new IllegalStateException("entry " + id + " released " + -left + " times too often");
    }
    return left == 0;
  }

  /** Bytes of the medium it takes. */
  long pageBytes() {
    return pageBytes(runs);
  }

  /** Bytes of the medium that runs take. */
  static long pageBytes(PageRun[] runs) {
    long sum = 0;
    for (PageRun run : runs) {
      sum += run.bytes();
    }
    return sum;
  }
}
