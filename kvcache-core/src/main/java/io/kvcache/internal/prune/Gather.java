package io.kvcache.internal.prune;

import io.kvcache.KvHalf;
import io.kvcache.LayerSpec;
import java.lang.foreign.MemorySegment;

/** Moves the rows of kept tokens. Rows are stored as {@code [kept][kvHead][dim]}; see {@code FORMAT.md}, 3.5. */
public final class Gather {
  private Gather() {}

  /**
   * Writes what is kept of a chunk's half: row {@code r} holds for each head the {@code r}-th token that it keeps.
   *
   * @param dense {@code [token][kvHead][dim]}
   * @param target at least {@code kept.count(layer)} rows
   */
  public static void rows(LayerSpec spec, KvHalf half, MemorySegment dense, Kept kept, int layer,
      MemorySegment target) {
    long rowBytes = spec.rowBytes(half);
    if (kept.uniform() || spec.kvHeads() == 1) {
      wholeRows(kept.bitmap(layer, 0), rowBytes, dense, target);
      return;
    }
    long headBytes = rowBytes / spec.kvHeads();
    for (int head = 0; head < spec.kvHeads(); head++) {
      long[] bitmap = kept.bitmap(layer, head);
      long to = head * headBytes;
      for (int word = 0; word < bitmap.length; word++) {
        for (long rest = bitmap[word]; rest != 0; rest &= rest - 1) {
          long token = word * (long) Long.SIZE + Long.numberOfTrailingZeros(rest);
          MemorySegment.copy(dense, token * rowBytes + head * headBytes, target, to, headBytes);
          to += rowBytes;
        }
      }
    }
  }

  /** Moves rows of all heads at once, and as many as follow each other. */
  private static void wholeRows(long[] bitmap, long rowBytes, MemorySegment dense, MemorySegment target) {
    long to = 0;
    for (int word = 0; word < bitmap.length; word++) {
      long rest = bitmap[word];
      while (rest != 0) {
        int first = Long.numberOfTrailingZeros(rest);
        int count = Long.numberOfTrailingZeros(~(rest >>> first));
        long bytes = count * rowBytes;
        MemorySegment.copy(dense, (word * (long) Long.SIZE + first) * rowBytes, target, to, bytes);
        to += bytes;
        rest = first + count == Long.SIZE ? 0 : rest >>> first + count << first + count;
      }
    }
  }

  /**
   * Puts the stored rows of one chunk's half where they belong among those of a run, head by head.
   *
   * @param stored {@code [kept][kvHead][dim]}
   * @param kept rows in it
   * @param target {@code [kvHead][totalRows][dim]}, all chunks of the run
   * @param firstRow rows of each head that chunks before this one take
   */
  public static void toHeadMajor(LayerSpec spec, KvHalf half, int kept, MemorySegment stored,
      MemorySegment target, int firstRow, int totalRows) {
    if (firstRow < 0 || kept < 0 || firstRow > totalRows - kept) {
      throw new IllegalArgumentException(
          kept + " rows from " + firstRow + " on do not fit " + totalRows + " rows");
    }
    long rowBytes = spec.rowBytes(half);
    if (spec.kvHeads() == 1) {
      MemorySegment.copy(stored, 0, target, firstRow * rowBytes, kept * rowBytes);
      return;
    }
    long headBytes = rowBytes / spec.kvHeads();
    for (int head = 0; head < spec.kvHeads(); head++) {
      long at = ((long) head * totalRows + firstRow) * headBytes;
      for (int row = 0; row < kept; row++) {
        MemorySegment.copy(stored, row * rowBytes + head * headBytes, target, at + row * headBytes,
            headBytes);
      }
    }
  }
}
