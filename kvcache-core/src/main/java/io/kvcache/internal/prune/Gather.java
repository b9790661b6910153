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
    long headBytes = spec.rowBytes(half) / spec.kvHeads();
    long rowBytes = spec.rowBytes(half);
    for (int head = 0; head < spec.kvHeads(); head++) {
      int[] positions = kept.positions(layer, head);
      for (int row = 0; row < positions.length; row++) {
        MemorySegment.copy(dense, positions[row] * rowBytes + head * headBytes, target,
            row * rowBytes + head * headBytes, headBytes);
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
    long headBytes = spec.rowBytes(half) / spec.kvHeads();
    long rowBytes = spec.rowBytes(half);
    for (int head = 0; head < spec.kvHeads(); head++) {
      long at = ((long) head * totalRows + firstRow) * headBytes;
      for (int row = 0; row < kept; row++) {
        MemorySegment.copy(stored, row * rowBytes + head * headBytes, target, at + row * headBytes,
            headBytes);
      }
    }
  }
}
