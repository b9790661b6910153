package io.kvcache.compress;

import io.kvcache.KvShape;
import io.kvcache.compress.kernel.PlaneKernels;
import java.lang.foreign.MemorySegment;

/**
 * Working memory for byte planes: whole planes, since coders find their matches in them, and one tile of
 * elements, several to a word. Elements of two and of four bytes are split and joined by way of it.
 */
final class PlaneBuffers {
  /** Elements that are split or joined at a time; a tile stays in the first-level cache. */
  static final int TILE = 2048;

  /** Larger planes are not kept for the next caller. */
  private static final int KEPT_BYTES = 1 << 21;

  /**
   * One 16-bit half of each of a tile's 32-bit elements, as bytes and, four to a word, as words: C2 vectorises
   * no loop that reads the type of array it writes.
   */
  private static final class Halves {
    final byte[] bytes = new byte[2 * TILE];
    final long[] words = new long[TILE / 4];
    private final MemorySegment view = MemorySegment.ofArray(bytes);

    void bytesToWords(int halves) {
      MemorySegment.copy(view, Segments.LONG, 0, words, 0, (halves + 3) / 4);
    }

    void wordsToBytes(int halves) {
      MemorySegment.copy(words, 0, view, Segments.LONG, 0, (halves + 3) / 4);
    }
  }

  /** A tile: four elements of two bytes or two of four bytes to a word, the first in the lowest bits. */
  final long[] words = new long[TILE / 2];

  /** Another tile, to compare with. */
  final long[] others = new long[TILE / 2];
  private final Halves low = new Halves();
  private final Halves high = new Halves();
  byte[][] planes = {};
  byte[] turned = new byte[0];
  private byte[] coded = new byte[0];

  /** Makes room for the planes of {@code shape}. */
  void fit(KvShape shape) {
    int count = shape.dtype().bytes();
    int bytes = (int) shape.elements();
    if (planes.length < count || planes[0].length < bytes) {
      planes = new byte[count][bytes];
    }
    if (turned.length < bytes) {
      turned = new byte[bytes];
    }
  }

  /** Room for {@code bytes} bytes of a coder's. */
  byte[] coded(int bytes) {
    if (coded.length < bytes) {
      coded = new byte[bytes];
    }
    return coded;
  }

  /** Reads {@code bytes} bytes, at most a tile, into {@code words}; unused bits of the last word become 0. */
  static void read(MemorySegment source, long from, int bytes, long[] words) {
    int whole = bytes / 8;
    MemorySegment.copy(source, Segments.LONG, from, words, 0, whole);
    if (8 * whole < bytes) {
      words[whole] = 0;
    }
    for (int i = 8 * whole; i < bytes; i++) {
      words[whole] |= (source.get(Segments.BYTE, from + i) & 0xffL) << (8 * (i & 7));
    }
  }

  /** Writes the first {@code bytes} bytes of {@link #words}. */
  void write(MemorySegment target, long to, int bytes) {
    int whole = bytes / 8;
    MemorySegment.copy(words, 0, target, Segments.LONG, to, whole);
    for (int i = 8 * whole; i < bytes; i++) {
      target.set(Segments.BYTE, to + i, (byte) (words[whole] >>> (8 * (i & 7))));
    }
  }

  /** Splits the first {@code n} elements of {@link #words}, of two or four bytes, into planes from {@code at} on. */
  void split(int elementBytes, int at, int n) {
    if (elementBytes == 2) {
      PlaneKernels.split16(words, planes[0], planes[1], at, n);
      return;
    }
    PlaneKernels.splitPairs(words, low.bytes, high.bytes, (n + 1) / 2);
    low.bytesToWords(n);
    high.bytesToWords(n);
    PlaneKernels.split16(low.words, planes[0], planes[1], at, n);
    PlaneKernels.split16(high.words, planes[2], planes[3], at, n);
  }

  /** The way back from {@link #split}. */
  void join(int elementBytes, int at, int n) {
    if (elementBytes == 2) {
      PlaneKernels.join16(planes[0], planes[1], at, words, n);
      return;
    }
    PlaneKernels.join16(planes[0], planes[1], at, low.words, n);
    PlaneKernels.join16(planes[2], planes[3], at, high.words, n);
    low.wordsToBytes(n);
    high.wordsToBytes(n);
    PlaneKernels.joinPairs(low.bytes, high.bytes, words, (n + 1) / 2);
  }

  boolean worthKeeping() {
    return turned.length <= KEPT_BYTES;
  }
}
