package io.kvcache.tiers;

import io.kvcache.spi.EntryId;
import io.kvcache.spi.Tier;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

/**
 * A committed entry: its memory, which starts with its note, and how many hold it. The map it stands in counts as one
 * holder, every view and running read as another; whoever gives up the last reference frees the memory.
 */
final class DramEntry {
  /** What is set aside for a note, of any length, and its length. */
  static final int NOTE_BYTES = Short.BYTES + Tier.MAX_NOTE_BYTES;

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

  @SuppressWarnings("unused") // through REFERENCES
  private volatile int references = 1;

  /**
   * An entry with its first reference.
   *
   * @param packing where the note lies, and then the parts
   */
  DramEntry(EntryId id, PageRun[] runs, Packing packing, long[] partBytes) {
    this.id = id;
    this.runs = runs;
    this.packing = packing;
    this.partBytes = partBytes;
  }

  /** A copy of the note; the caller holds a reference. */
  synchronized byte[] note() {
    MemorySegment memory = packing.memory(runs, 0, NOTE_BYTES);
    int length = memory.get(ValueLayout.JAVA_SHORT_UNALIGNED, 0);
    return memory.asSlice(Short.BYTES, length).toArray(ValueLayout.JAVA_BYTE);
  }

  /** Replaces the note; the caller holds a reference. */
  synchronized void setNote(byte[] note) {
    MemorySegment memory = packing.memory(runs, 0, NOTE_BYTES);
    memory.set(ValueLayout.JAVA_SHORT_UNALIGNED, 0, (short) note.length);
    MemorySegment.copy(note, 0, memory, ValueLayout.JAVA_BYTE, Short.BYTES, note.length);
  }

  int parts() {
    return partBytes.length;
  }

  long partBytes(int part) {
    return partBytes[part];
  }

  /** A part, as long as was committed, read-only. */
  MemorySegment part(int part) {
    return packing.memory(runs, part + 1, partBytes[part]).asReadOnly();
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
