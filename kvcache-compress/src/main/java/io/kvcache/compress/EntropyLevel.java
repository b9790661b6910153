package io.kvcache.compress;

import io.kvcache.KvHalf;

/**
 * How far {@link EntropyQuantizer} rounds. Keys are rounded less than values: where both are rounded alike, what keys
 * lose changes the next token ten times as much.
 */
enum EntropyLevel {
  // Nominal quality: top-1 agreement with the full cache on stories260K, in the scale of the other codecs.
  /** Keys as close as int8 makes them. */
  NEAR_LOSSLESS(10, 8, 4, 1 / 64.0, 1 / 32.0, 7.7, 7.3, 0.998),
  /** Keys twice as close as int4 makes them, values as close. */
  CLOSE(11, 4, 0, 0.1, 0.3, 5, 4, 0.99),
  /** Keys about as close as int4 makes them. */
  SMALL(12, 3, 0, 0.2, 0.6, 4, 3, 0.98),
  /** Closer than int2, in less. */
  SMALLEST(13, 2, 0, 0.5, 1.5, 2.7, 1.8, 0.94);

  private final int codec;
  private final int bits;
  private final int lowBits;
  private final double keyStep;
  private final double valueStep;
  private final double keyBits;
  private final double valueBits;
  private final double nominalQuality;

  EntropyLevel(int codec, int bits, int lowBits, double keyStep, double valueStep, double keyBits,
      double valueBits, double nominalQuality) {
    this.codec = codec;
    this.bits = bits;
    this.lowBits = lowBits;
    this.keyStep = keyStep;
    this.valueStep = valueStep;
    this.keyBits = keyBits;
    this.valueBits = valueBits;
    this.nominalQuality = nominalQuality;
  }

  int codec() {
    return codec;
  }

  /** Bits that rounding as far takes without a coder. */
  int bits() {
    return bits;
  }

  /** Low bits of a residual that are kept as they are; the byte above them is coded. */
  int lowBits() {
    return lowBits;
  }

  /** The step, in standard deviations of a block's elements about their channels' means. */
  double step(KvHalf half) {
    return half == KvHalf.KEYS ? keyStep : valueStep;
  }

  /** Bits that an element of real KV takes. */
  double usualBits(KvHalf half) {
    return half == KvHalf.KEYS ? keyBits : valueBits;
  }

  double nominalQuality() {
    return nominalQuality;
  }
}
