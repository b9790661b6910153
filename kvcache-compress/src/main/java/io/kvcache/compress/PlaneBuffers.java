package io.kvcache.compress;

import java.lang.foreign.MemorySegment;

/**
 * Working memory of {@link BytePlaneLz4}: whole planes, since LZ4 finds its matches in them, and one tile.
 */
final class PlaneBuffers {
  /** Elements that are split or joined at a time; a tile stays in the first-level cache. */
  static final int TILE = 2048;

  /** Larger planes are not kept for the next caller. */
  private static final int KEPT_BYTES = 1 << 21;

  /** Elements of 16 bits, four to a word. */
  final long[] words = new long[TILE / 4];

  /** Elements of 32 bits. */
  final int[] elements = new int[TILE];
  byte[][] planes = {};
  byte[] turned = new byte[0];
  byte[] coded = new byte[0];

  /** Makes room for {@code count} planes of {@code bytes} each and {@code mostCoded} bytes of LZ4 output. */
  void fit(int count, int bytes, int mostCoded) {
    if (planes.length < count || planes[0].length < bytes) {
      planes = new byte[count][bytes];
    }
    if (turned.length < bytes) {
      turned = new byte[bytes];
    }
    if (coded.length < mostCoded) {
      coded = new byte[mostCoded];
    }
  }

  /** Reads {@code n} 16-bit elements into {@link #words}. */
  void readWords(MemorySegment source, long from, int n) {
    int whole = n / 4;
    MemorySegment.copy(source, Segments.LONG, from, words, 0, whole);
    if (4 * whole < n) {
      words[whole] = 0;
    }
    for (int i = 4 * whole; i < n; i++) {
      words[whole] |= (source.get(Segments.SHORT, from + 2L * i) & 0xffffL) << (16 * (i & 3));
    }
  }

  /** Writes the first {@code n} 16-bit elements of {@link #words}. */
  void writeWords(MemorySegment target, long to, int n) {
    int whole = n / 4;
    MemorySegment.copy(words, 0, target, Segments.LONG, to, whole);
    for (int i = 4 * whole; i < n; i++) {
      target.set(Segments.SHORT, to + 2L * i, (short) (words[whole] >>> (16 * (i & 3))));
    }
  }

  boolean worthKeeping() {
    return turned.length <= KEPT_BYTES;
  }
}
