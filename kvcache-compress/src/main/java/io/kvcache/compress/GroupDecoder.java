package io.kvcache.compress;

import io.kvcache.compress.GroupBuffers.Strand;
import io.kvcache.compress.kernel.RowKernels;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.MemorySegment;

/** Decodes quantized blocks, row by row. */
final class GroupDecoder {
  private static final int MOST_FINITE = 0x7bff;

  private final GroupPlan plan;
  private final GroupBuffers buffers;
  private final MemorySegment stored;
  private final MemorySegment target;

  GroupDecoder(GroupPlan plan, GroupBuffers buffers, MemorySegment stored, MemorySegment target) {
    this.plan = plan;
    this.buffers = buffers;
    this.stored = stored;
    this.target = target;
  }

  /** Decodes the block at {@code from} into {@code rows} rows at {@code to}. */
  void decode(long from, int rows, long to) throws MalformedDataException {
    int scales = plan.scales(rows);
    readScales(from, scales);
    if (plan.perChannel()) {
      buffers.scalesPerChannel(plan);
    }
    long codes = from + 4L * scales;
    for (int row = 0; row < rows; row++) {
      readCodes(codes + (long) row * plan.codeBytes());
      dequantize(plan.perChannel() ? buffers.second : buffers.scalesPerToken(plan, row));
      write(to + (long) row * plan.rowBytes());
    }
  }

  private void readScales(long from, int n) throws MalformedDataException {
    GroupBuffers b = buffers;
    MemorySegment.copy(stored, Segments.SHORT, from, b.scaleBits, 0, n);
    MemorySegment.copy(stored, Segments.SHORT, from + 2L * n, b.zeroBits, 0, n);
    for (int i = 0; i < n; i++) {
      int scale = b.scaleBits[i] & 0xffff;
      int zero = b.zeroBits[i] & 0x7fff;
      if (scale > MOST_FINITE || zero > MOST_FINITE) {
        throw new MalformedDataException(
            "scale bits " + scale + " and zero bits " + zero
                + " of a group must be finite, the scale positive");
      }
    }
    RowKernels.fromF16(b.scaleBits, b.scales, n);
    RowKernels.fromF16(b.zeroBits, b.offsets, n);
    // The offset becomes the value of stored code 0.
    for (int i = 0; i < n; i++) {
      b.offsets[i] += plan.bias() * b.scales[i];
    }
  }

  private void readCodes(long from) {
    GroupBuffers b = buffers;
    switch (plan.bits()) {
      case 8 -> {
        MemorySegment.copy(stored, Segments.BYTE, from, b.first.codes, 0, plan.first());
        MemorySegment.copy(stored, Segments.BYTE, from + plan.first(), b.second.codes, 0, plan.second());
      }
      case 4 -> {
        MemorySegment.copy(stored, Segments.BYTE, from, b.packed, 0, plan.first());
        RowKernels.unpack(b.packed, 0, 15, b.first.codes, plan.first());
        RowKernels.unpack(b.packed, 4, 15, b.second.codes, plan.first());
      }
      default -> {
        MemorySegment.copy(stored, Segments.BYTE, from, b.packed, 0, plan.quarter());
        readQuarters(b.first.codes, 0);
        readQuarters(b.second.codes, 4);
      }
    }
  }

  private void readQuarters(byte[] codes, int shift) {
    int n = plan.quarter();
    RowKernels.unpack(buffers.packed, shift, 3, codes, n);
    RowKernels.unpack(buffers.packed, shift + 2, 3, buffers.upper, n);
    System.arraycopy(buffers.upper, 0, codes, n, n);
  }

  private void dequantize(Strand secondScales) {
    Strand first = buffers.first;
    Strand second = buffers.second;
    RowKernels.dequantize(first.codes, first.scale, first.offset, first.values, plan.first());
    RowKernels.dequantize(
        second.codes, secondScales.scale, secondScales.offset, second.values, plan.second());
  }

  private void write(long to) {
    switch (plan.shape().dtype()) {
      case BF16 -> writeBf16(to);
      case F16 -> {
        writeF16(buffers.first, plan.first(), to);
        writeF16(buffers.second, plan.second(), to + 2L * plan.first());
      }
      case F32 -> {
        MemorySegment.copy(buffers.first.values, 0, target, Segments.FLOAT, to, plan.first());
        MemorySegment.copy(
            buffers.second.values, 0, target, Segments.FLOAT, to + 4L * plan.first(), plan.second());
      }
      case FP8, OPAQUE -> throw new AssertionError(plan.shape().dtype());
    }
  }

  private void writeF16(Strand strand, int n, long to) {
    RowKernels.toF16(strand.values, strand.halves, n);
    MemorySegment.copy(strand.halves, 0, target, Segments.SHORT, to, n);
  }

  private void writeBf16(long to) {
    GroupBuffers b = buffers;
    b.first.valuesToWords(plan.first());
    b.second.valuesToWords(plan.second());
    RowKernels.packBf16(b.first.words, b.second.words, b.pairs, plan.first());
    MemorySegment.copy(b.pairs, 0, target, Segments.INT, to, plan.second());
    if (plan.first() > plan.second()) { // the last of an odd number of channels
      target.set(Segments.SHORT, to + 4L * plan.second(), (short) b.pairs[plan.second()]);
    }
  }
}
