package io.kvcache.compress;

/** Rounding to binary16 in a given direction. */
final class HalfFloats {
  private HalfFloats() {}

  /** The bits of the greatest binary16 not above {@code value}; never those of −0. NaN stays NaN. */
  static short floor(float value) {
    short nearest = Float.floatToFloat16(value + 0f); // −0 + 0 is +0
    if (Float.float16ToFloat(nearest) <= value || Float.isNaN(value)) {
      return nearest;
    }
    if ((nearest & 0x7fff) == 0) {
      return (short) 0x8001; // the least below zero
    }
    return (short) (nearest < 0 ? nearest + 1 : nearest - 1);
  }

  /**
   * The bits of the least binary16 not below {@code value}, which is not below zero; never −0. NaN stays NaN.
   */
  static short ceil(float value) {
    short nearest = Float.floatToFloat16(value + 0f); // −0 + 0 is +0
    return (short) (Float.float16ToFloat(nearest) < value ? nearest + 1 : nearest);
  }
}
