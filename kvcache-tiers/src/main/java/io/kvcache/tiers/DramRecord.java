package io.kvcache.tiers;

import io.kvcache.ChunkKey;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.Tier;
import io.kvcache.spi.VariantClass;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;

/**
 * What an entry begins with in memory: its id, how many hold it, its note, and where its parts lie. So that an entry
 * costs the heap nothing but its place in the {@link DramIndex}. Whoever gives up the last hold frees the memory.
 *
 * <pre>
 *   0  32  key
 *  32   4  holds: the index counts as one, every view and running read as another
 *  36   1  variant class
 *  38   2  length of the note
 *  40   4  parts
 *  44   4  runs of pages
 *  48 512  note
 * 560      for each part its length (8), its offset in its run (4) and the number of that run (4)
 *          for each run its first page (4)
 * </pre>
 */
final class DramRecord {
  private static final int HOLDS = 32;
  private static final int CLASS = 36;
  private static final int NOTE_LENGTH = 38;
  private static final int PARTS = 40;
  private static final int RUNS = 44;
  private static final int NOTE = 48;
  private static final int TABLE = NOTE + Tier.MAX_NOTE_BYTES;
  private static final int PART_BYTES = 16;
  private static final int OFFSET = 8;
  private static final int RUN = 12;
  private static final VariantClass[] CLASSES = VariantClass.values();

  private static final VarHandle COUNT = ValueLayout.JAVA_INT.varHandle();

  private DramRecord() {}

  /** Most bytes of the record of an entry with so many parts, however many runs they lie in. */
  static long bytes(int parts) {
    return TABLE + (long) parts * PART_BYTES + (parts + 1L) * Integer.BYTES;
  }

  /**
   * Writes the record of an entry, held once.
   *
   * @param packing where the record lies, and then the parts
   * @param runs first pages
   */
  static void write(MemorySegment record, EntryId id, byte[] note, long[] partBytes, Packing packing,
      int[] runs) {
    id.key().write(record, 0);
    record.set(ValueLayout.JAVA_BYTE, CLASS, (byte) id.variantClass().ordinal());
    record.set(ValueLayout.JAVA_INT, PARTS, partBytes.length);
    record.set(ValueLayout.JAVA_INT, RUNS, runs.length);
    note(record, note);
    for (int part = 0; part < partBytes.length; part++) {
      long at = TABLE + (long) part * PART_BYTES;
      record.set(ValueLayout.JAVA_LONG, at, partBytes[part]);
      record.set(ValueLayout.JAVA_INT, at + OFFSET, packing.offset(part + 1));
      record.set(ValueLayout.JAVA_INT, at + RUN, packing.run(part + 1));
    }
    long runTable = TABLE + (long) partBytes.length * PART_BYTES;
    for (int run = 0; run < runs.length; run++) {
      record.set(ValueLayout.JAVA_INT, runTable + (long) run * Integer.BYTES, runs[run]);
    }
    COUNT.setRelease(record, (long) HOLDS, 1);
  }

  static boolean is(MemorySegment record, EntryId id) {
    ChunkKey key = id.key();
    return record.get(ValueLayout.JAVA_LONG, 0) == key.word0()
        && record.get(ValueLayout.JAVA_LONG, 8) == key.word1()
        && record.get(ValueLayout.JAVA_LONG, 16) == key.word2()
        && record.get(ValueLayout.JAVA_LONG, 24) == key.word3()
        && record.get(ValueLayout.JAVA_BYTE, CLASS) == id.variantClass().ordinal();
  }

  static EntryId id(MemorySegment record) {
    return new EntryId(ChunkKey.read(record, 0), CLASSES[record.get(ValueLayout.JAVA_BYTE, CLASS)]);
  }

  /** A copy of the note; nobody may replace it meanwhile. */
  static byte[] note(MemorySegment record) {
    return record.asSlice(NOTE, record.get(ValueLayout.JAVA_SHORT, NOTE_LENGTH))
        .toArray(ValueLayout.JAVA_BYTE);
  }

  /** Replaces the note. */
  static void note(MemorySegment record, byte[] note) {
    record.set(ValueLayout.JAVA_SHORT, NOTE_LENGTH, (short) note.length);
    MemorySegment.copy(note, 0, record, ValueLayout.JAVA_BYTE, NOTE, note.length);
  }

  static int parts(MemorySegment record) {
    return record.get(ValueLayout.JAVA_INT, PARTS);
  }

  static long partBytes(MemorySegment record, int part) {
    return record.get(ValueLayout.JAVA_LONG, TABLE + (long) part * PART_BYTES);
  }

  static int offset(MemorySegment record, int part) {
    return record.get(ValueLayout.JAVA_INT, TABLE + (long) part * PART_BYTES + OFFSET);
  }

  /** First page of the run that a part lies in. */
  static int runOf(MemorySegment record, int part) {
    int number = record.get(ValueLayout.JAVA_INT, TABLE + (long) part * PART_BYTES + RUN);
    return record.get(ValueLayout.JAVA_INT, runTable(record) + (long) number * Integer.BYTES);
  }

  /** First pages of all runs. */
  static int[] runs(MemorySegment record) {
    long bytes = (long) record.get(ValueLayout.JAVA_INT, RUNS) * Integer.BYTES;
    return record.asSlice(runTable(record), bytes).toArray(ValueLayout.JAVA_INT);
  }

  private static long runTable(MemorySegment record) {
    return TABLE + (long) parts(record) * PART_BYTES;
  }

  /** Adds a hold; the caller knows that there is one, and that it stays meanwhile. */
  static void retain(MemorySegment record) {
    COUNT.getAndAdd(record, (long) HOLDS, 1);
  }

  /**
   * Gives up one hold.
   *
   * @return whether it was the last
   * @throws IllegalStateException when there was none: somebody released twice
   */
  static boolean release(MemorySegment record) {
    int left = (int) COUNT.getAndAdd(record, (long) HOLDS, -1) - 1;
    if (left < 0) {
      throw new IllegalStateException("entry " + id(record) + " released " + -left + " times too often");
    }
    return left == 0;
  }
}
