package io.kvcache.internal.delay;

/**
 * What a codec's work costs, measured or learned.
 *
 * @param encodeSecondsPerByte for each byte of the source
 * @param decodeSecondsPerByte for each byte of the result
 * @param storedShare bytes written for each byte of the source, above 0
 */
public record CodecCost(double encodeSecondsPerByte, double decodeSecondsPerByte, double storedShare) {
  /** Checks every component. */
  public CodecCost {
    requireFinite(encodeSecondsPerByte, 0, "encodeSecondsPerByte");
    requireFinite(decodeSecondsPerByte, 0, "decodeSecondsPerByte");
    requireFinite(storedShare, Double.MIN_NORMAL, "storedShare");
  }

  private static void requireFinite(double value, double least, String name) {
    if (!(value >= least && value < Double.POSITIVE_INFINITY)) {
      throw new IllegalArgumentException(name + " is " + value + ", must be finite and at least " + least);
    }
  }

  /** Decoding, for each byte that is loaded. */
  public double decodeSecondsPerStoredByte() {
    return decodeSecondsPerByte / storedShare;
  }
}
