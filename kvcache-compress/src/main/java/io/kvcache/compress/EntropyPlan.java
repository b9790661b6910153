package io.kvcache.compress;

import io.kvcache.KvHalf;
import io.kvcache.KvShape;
import io.kvcache.compress.kernel.RansKernels;

/**
 * Where everything lies in a half coded by {@link EntropyQuantizer}, which describes the format.
 *
 * @param shape the half
 * @param level how far it is rounded
 */
record EntropyPlan(KvShape shape, EntropyLevel level) {
  /** Tokens of a block; the last may have fewer. */
  static final int BLOCK = 256;

  static final int MODE_RAW = 1;
  static final int MODE_CODED = 0;

  /** In a block's second byte, beside the number of classes: some rows are raw. */
  static final int SOME_RAW = 0x80;

  int blocks() {
    return (shape.tokens() + BLOCK - 1) / BLOCK;
  }

  /** Tokens of a block. */
  int rows(int block) {
    return Math.min(BLOCK, shape.tokens() - block * BLOCK);
  }

  /** Channels of the first strand. */
  int first() {
    return EntropyRow.firstChannels(shape);
  }

  /** Channels of the second strand. */
  int second() {
    return EntropyRow.secondChannels(shape);
  }

  /** Lanes of a strand, for coders that take turns: those without a channel hold a symbol that costs nothing. */
  int lanes() {
    return first() + 3 & -4;
  }

  boolean keys() {
    return shape.half() == KvHalf.KEYS;
  }

  int rowBytes() {
    return shape.channels() * shape.dtype().bytes();
  }

  long rawBytes(int rows) {
    return (long) rows * rowBytes();
  }

  /** Bytes of the low bits of {@code rows} rows. */
  int lowBytes(int rows) {
    return level.lowBits() == 0 ? 0 : rows * first();
  }

  /** Bits of a residual. */
  int residualBits() {
    return Byte.SIZE + level.lowBits();
  }

  /** More words than {@code rows} rows can be coded in, whatever their tables. */
  int mostWords(int rows) {
    return (int) ((long) rows * shape.channels() * RansKernels.FREQUENCY_BITS / Integer.SIZE)
        + RansKernels.STATES;
  }

  /** More bytes than a block's head has. */
  int mostHeadBytes(int rows) {
    return 32 + rows + 6 * shape.channels() + EntropyTables.MOST * EntropyTables.MOST_BYTES;
  }
}
