package io.kvcache.compress;

import io.kvcache.DType;
import io.kvcache.compress.GroupBuffers.Strand;
import io.kvcache.compress.kernel.RowKernels;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/** Encodes blocks: one pass for the range of every group, one for the codes. */
final class GroupEncoder {
  private static final float MOST_F16 = 65504;

  /**
   * Decoded values must stay below, else they would round to an infinite binary16; 1 less than the true limit,
   * because decoding adds in another order.
   */
  private static final float LIMIT_F16 = 65519;

  private final GroupPlan plan;
  private final GroupBuffers buffers;
  private final MemorySegment source;
  private final MemorySegment target;

  GroupEncoder(GroupPlan plan, GroupBuffers buffers, MemorySegment source, MemorySegment target) {
    this.plan = plan;
    this.buffers = buffers;
    this.source = source;
    this.target = target;
  }

  /**
   * Encodes {@code rows} rows at {@code from} into a block at {@code to}.
   *
   * @return false, with nothing written, when the block must stay raw: it would not get smaller, or a group
   *     has no scale and zero in binary16
   */
  boolean encode(long from, int rows, long to) {
    if (plan.quantizedBytes(rows) >= plan.rawBytes(rows)) {
      return false;
    }
    if (plan.perChannel()) {
      rangePerChannel(from, rows);
    } else {
      rangePerToken(from, rows);
    }
    int scales = plan.scales(rows);
    if (!chooseScales(scales)) {
      return false;
    }
    MemorySegment.copy(buffers.scaleBits, 0, target, Segments.SHORT, to, scales);
    MemorySegment.copy(buffers.zeroBits, 0, target, Segments.SHORT, to + 2L * scales, scales);
    writeCodes(from, rows, to + 4L * scales);
    return true;
  }

  private void rangePerChannel(long from, int rows) {
    Strand first = buffers.first;
    Strand second = buffers.second;
    for (int row = 0; row < rows; row++) {
      read(from + (long) row * plan.rowBytes());
      startOrWiden(first, plan.first(), row);
      startOrWiden(second, plan.second(), row);
    }
    System.arraycopy(first.low, 0, buffers.low, 0, plan.first());
    System.arraycopy(first.high, 0, buffers.high, 0, plan.first());
    System.arraycopy(second.low, 0, buffers.low, plan.first(), plan.second());
    System.arraycopy(second.high, 0, buffers.high, plan.first(), plan.second());
  }

  private static void startOrWiden(Strand strand, int n, int row) {
    if (row == 0) {
      System.arraycopy(strand.values, 0, strand.low, 0, n);
      System.arraycopy(strand.values, 0, strand.high, 0, n);
    } else {
      RowKernels.widen(strand.values, strand.low, strand.high, n);
    }
  }

  private void rangePerToken(long from, int rows) {
    int group = plan.group();
    for (int row = 0; row < rows; row++) {
      read(from + (long) row * plan.rowBytes());
      int at = row * plan.groupsPerRow();
      for (int i = at; i < at + plan.groupsPerRow(); i++) {
        buffers.low[i] = Float.POSITIVE_INFINITY;
        buffers.high[i] = Float.NEGATIVE_INFINITY;
      }
      if (plan.interleaved()) {
        rangeOfStrand(buffers.first.values, plan.first(), at, 0, group / 2);
        rangeOfStrand(buffers.second.values, plan.second(), at, 0, group / 2);
      } else {
        rangeOfStrand(buffers.first.values, plan.first(), at, 0, group);
        int middle = at + plan.first() / group;
        rangeOfStrand(buffers.second.values, plan.second(), middle, plan.first() % group, group);
      }
    }
  }

  private void rangeOfStrand(float[] values, int n, int firstGroup, int skip, int lanes) {
    int from = 0;
    for (int group = firstGroup; from < n; group++) {
      int to = Math.min((group - firstGroup + 1) * lanes - skip, n);
      float low = buffers.low[group];
      float high = buffers.high[group];
      for (int i = from; i < to; i++) {
        low = Math.min(low, values[i]);
        high = Math.max(high, values[i]);
      }
      buffers.low[group] = low;
      buffers.high[group] = high;
      from = to;
    }
  }

  /**
   * The zero is the group's least value rounded down, the scale the rest of its range rounded up: the codes
   * then cover the range without clamping, so no error exceeds half a scale.
   */
  private boolean chooseScales(int n) {
    GroupBuffers b = buffers;
    float limit = plan.shape().dtype() == DType.F16 ? LIMIT_F16 : Float.POSITIVE_INFINITY;
    for (int i = 0; i < n; i++) {
      short zeroBits = HalfFloats.floor(b.low[i]);
      float zero = Float.float16ToFloat(zeroBits);
      short scaleBits = HalfFloats.ceil((b.high[i] - zero) / plan.mostCode());
      float scale = Float.float16ToFloat(scaleBits);
      boolean inRange = Math.abs(b.low[i]) <= MOST_F16 && zero + plan.mostCode() * scale < limit;
      if (!inRange) { // nor is a NaN
        return false;
      }
      b.zeroBits[i] = zeroBits;
      b.scaleBits[i] = scaleBits;
      b.offsets[i] = zero;
      b.scales[i] = scale == 0 ? 0 : 1 / scale;
    }
    return true;
  }

  private void writeCodes(long from, int rows, long to) {
    if (plan.perChannel()) {
      buffers.scalesPerChannel(plan);
    }
    for (int row = 0; row < rows; row++) {
      read(from + (long) row * plan.rowBytes());
      Strand secondScales = plan.perChannel() ? buffers.second : buffers.scalesPerToken(plan, row);
      quantize(buffers.first, buffers.first, plan.first());
      quantize(buffers.second, secondScales, plan.second());
      writeCodes(to + (long) row * plan.codeBytes());
    }
  }

  private void quantize(Strand strand, Strand scales, int n) {
    RowKernels.quantize(
        strand.values, scales.offset, scales.scale, plan.mostCode(), plan.bias(), strand.codes, n);
  }

  private void writeCodes(long to) {
    GroupBuffers b = buffers;
    if (plan.bits() == 8) {
      MemorySegment.copy(b.first.codes, 0, target, Segments.BYTE, to, plan.first());
      MemorySegment.copy(b.second.codes, 0, target, Segments.BYTE, to + plan.first(), plan.second());
      return;
    }
    int most = 2 * plan.quarter();
    Arrays.fill(b.first.codes, plan.first(), most, (byte) 0); // the unused bits of the last byte
    Arrays.fill(b.second.codes, plan.second(), most, (byte) 0);
    if (plan.bits() == 2) {
      joinQuarters(b.first.codes);
      joinQuarters(b.second.codes);
    }
    RowKernels.join(b.first.codes, b.second.codes, 4, b.packed, plan.codeBytes());
    MemorySegment.copy(b.packed, 0, target, Segments.BYTE, to, plan.codeBytes());
  }

  /** Puts the two halves of a strand's codes into one. */
  private void joinQuarters(byte[] codes) {
    int n = plan.quarter();
    System.arraycopy(codes, n, buffers.upper, 0, n);
    RowKernels.join(codes, buffers.upper, 2, codes, n);
  }

  /** Reads a row into the strands' values. */
  private void read(long from) {
    GroupBuffers b = buffers;
    switch (plan.shape().dtype()) {
      case BF16 -> readBf16(from);
      case F16 -> {
        readF16(b.first, plan.first(), from);
        readF16(b.second, plan.second(), from + 2L * plan.first());
      }
      case F32 -> {
        MemorySegment.copy(source, Segments.FLOAT, from, b.first.values, 0, plan.first());
        MemorySegment.copy(
            source, Segments.FLOAT, from + 4L * plan.first(), b.second.values, 0, plan.second());
      }
      case FP8, OPAQUE -> throw new AssertionError(plan.shape().dtype());
    }
  }

  private void readF16(Strand strand, int n, long from) {
    MemorySegment.copy(source, Segments.SHORT, from, strand.halves, 0, n);
    RowKernels.fromF16(strand.halves, strand.values, n);
  }

  private void readBf16(long from) {
    GroupBuffers b = buffers;
    MemorySegment.copy(source, Segments.INT, from, b.pairs, 0, plan.second());
    if (plan.first() > plan.second()) { // the last of an odd number of channels
      b.pairs[plan.second()] = source.get(Segments.SHORT, from + 4L * plan.second()) & 0xffff;
    }
    RowKernels.splitBf16(b.pairs, b.first.words, b.second.words, plan.first());
    b.first.wordsToValues(plan.first());
    b.second.wordsToValues(plan.second());
  }
}
