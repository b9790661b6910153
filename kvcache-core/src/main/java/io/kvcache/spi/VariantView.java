package io.kvcache.spi;

import io.kvcache.Encoding;

/** The chunks of a segment that are in one tier in one encoding, as a policy sees them. */
public interface VariantView {
  /** Index of the tier. */
  int tier();

  /** How they are encoded. */
  Encoding encoding();

  /** Full or serving, as the encoding is exact or not. */
  VariantClass variantClass();

  /** How many chunks. */
  int chunks();

  /** Bytes they are stored in. */
  long bytes();
}
