package io.kvcache.compress;

import io.kvcache.DType;
import io.kvcache.KvShape;
import io.kvcache.compress.kernel.RowKernels;
import java.lang.foreign.MemorySegment;

/**
 * One row of a half, taken apart into two strands of binary32 and put together again: the even and the odd channels of
 * BF16, the lower and the upper ones of F16 and F32. Loops over arrays are vectorised, loops over segments are not or
 * badly, so rows are copied in and out.
 */
final class EntropyRow {
  /** Half of a row's channels; the arrays are longer, and zero behind the last channel. */
  static final class Strand {
    final float[] values;
    final int[] words;
    private final short[] halves;
    private final MemorySegment valueView;
    private final MemorySegment wordView;

    Strand(int width) {
      values = new float[width];
      words = new int[width];
      halves = new short[width];
      valueView = MemorySegment.ofArray(values);
      wordView = MemorySegment.ofArray(words);
    }

    /** Copies the bit patterns of values to words; C2 vectorises no {@code floatToRawIntBits}. */
    private void valuesToWords(int n) {
      MemorySegment.copy(valueView, 0, wordView, 0, 4L * n);
    }

    private void wordsToValues(int n) {
      MemorySegment.copy(wordView, 0, valueView, 0, 4L * n);
    }
  }

  final Strand first;
  final Strand second;
  private final int[] pairs;

  /** For rows whose longer strand has at most {@code width} channels. */
  EntropyRow(int width) {
    first = new Strand(width);
    second = new Strand(width);
    pairs = new int[width];
  }

  /** Channels of a row's first strand. */
  static int firstChannels(KvShape shape) {
    return (shape.channels() + 1) / 2;
  }

  /** Channels of a row's second strand. */
  static int secondChannels(KvShape shape) {
    return shape.channels() / 2;
  }

  /** Reads a row into the strands' values, and their bit patterns into the strands' words. */
  void read(KvShape shape, MemorySegment source, long from) {
    int n = firstChannels(shape);
    int m = secondChannels(shape);
    switch (shape.dtype()) {
      case BF16 -> readBf16(n, m, source, from);
      case F16 -> {
        readF16(first, n, source, from);
        readF16(second, m, source, from + 2L * n);
      }
      case F32 -> {
        readF32(first, n, source, from);
        readF32(second, m, source, from + 4L * n);
      }
      case FP8, OPAQUE -> throw new AssertionError(shape.dtype());
    }
  }

  private void readBf16(int n, int m, MemorySegment source, long from) {
    MemorySegment.copy(source, Segments.INT, from, pairs, 0, m);
    if (n > m) { // the last of an odd number of channels
      pairs[m] = source.get(Segments.SHORT, from + 4L * m) & 0xffff;
    }
    RowKernels.splitBf16(pairs, first.words, second.words, n);
    first.wordsToValues(n);
    second.wordsToValues(n);
  }

  private static void readF16(Strand strand, int n, MemorySegment source, long from) {
    MemorySegment.copy(source, Segments.SHORT, from, strand.halves, 0, n);
    RowKernels.fromF16(strand.halves, strand.values, n);
    strand.valuesToWords(n);
  }

  private static void readF32(Strand strand, int n, MemorySegment source, long from) {
    MemorySegment.copy(source, Segments.FLOAT, from, strand.values, 0, n);
    strand.valuesToWords(n);
  }

  /** Writes the strands' values, each rounded to the element type. */
  void write(DType dtype, int n, int m, MemorySegment target, long to) {
    switch (dtype) {
      case BF16 -> writeBf16(n, m, target, to);
      case F16 -> {
        writeF16(first, n, target, to);
        writeF16(second, m, target, to + 2L * n);
      }
      case F32 -> {
        MemorySegment.copy(first.values, 0, target, Segments.FLOAT, to, n);
        MemorySegment.copy(second.values, 0, target, Segments.FLOAT, to + 4L * n, m);
      }
      case FP8, OPAQUE -> throw new AssertionError(dtype);
    }
  }

  private void writeBf16(int n, int m, MemorySegment target, long to) {
    first.valuesToWords(n);
    second.valuesToWords(n);
    RowKernels.packBf16(first.words, second.words, pairs, n);
    MemorySegment.copy(pairs, 0, target, Segments.INT, to, m);
    if (n > m) { // the last of an odd number of channels
      target.set(Segments.SHORT, to + 4L * m, (short) pairs[m]);
    }
  }

  private static void writeF16(Strand strand, int n, MemorySegment target, long to) {
    RowKernels.toF16(strand.values, strand.halves, n);
    MemorySegment.copy(strand.halves, 0, target, Segments.SHORT, to, n);
  }
}
