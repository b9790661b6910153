package io.kvcache.spi;

/** Which of a chunk's variants an entry is. */
public enum VariantClass {
  /** Bit-exact: stored raw or by a lossless codec. */
  FULL,
  /** Possibly lossy. */
  SERVING
}
