package io.kvcache.compress;

import io.kvcache.DType;
import io.kvcache.KvHalf;
import io.kvcache.KvShape;

/**
 * Where everything lies in a half quantized by groups. {@link GroupQuantizer} describes the format.
 *
 * @param shape the half
 * @param bits bits of a code, 2, 4 or 8
 * @param group tokens of a block, and channels of a group of values
 */
record GroupPlan(KvShape shape, int bits, int group) {
  /** Blocks of {@code group} tokens; the last may have fewer. */
  int blocks() {
    return (shape.tokens() + group - 1) / group;
  }

  /** Tokens of a block. */
  int rows(int block) {
    return Math.min(group, shape.tokens() - block * group);
  }

  int channels() {
    return shape.channels();
  }

  /** Channels of a row's first strand. */
  int first() {
    return (channels() + 1) / 2;
  }

  /** Channels of a row's second strand. */
  int second() {
    return channels() / 2;
  }

  /** Channels of the longer half of the first strand: two of each strand share a byte of 2-bit codes. */
  int quarter() {
    return (first() + 1) / 2;
  }

  /** Whether the strands are the even and the odd channels, not the lower and the upper ones. */
  boolean interleaved() {
    return shape.dtype() == DType.BF16;
  }

  boolean perChannel() {
    return shape.half() == KvHalf.KEYS;
  }

  int groupsPerRow() {
    return (channels() + group - 1) / group;
  }

  /** Scales of a block of {@code rows} tokens. */
  int scales(int rows) {
    return perChannel() ? channels() : rows * groupsPerRow();
  }

  /** Bytes of a row's codes. */
  int codeBytes() {
    return switch (bits) {
      case 8 -> channels();
      case 4 -> first();
      default -> quarter();
    };
  }

  int rowBytes() {
    return channels() * shape.dtype().bytes();
  }

  long rawBytes(int rows) {
    return (long) rows * rowBytes();
  }

  long quantizedBytes(int rows) {
    return 4L * scales(rows) + (long) rows * codeBytes();
  }

  /** The highest code, counted from 0. */
  int mostCode() {
    return (1 << bits) - 1;
  }

  /** What is subtracted from a code before it is stored: 8-bit codes are kept as signed bytes. */
  int bias() {
    return bits == 8 ? 128 : 0;
  }
}
