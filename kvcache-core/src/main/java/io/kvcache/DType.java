package io.kvcache;

/** How one element of KV is represented, little-endian. */
public enum DType {
  /** The upper half of an IEEE 754 binary32. */
  BF16(1, 2),
  /** IEEE 754 binary16. */
  F16(2, 2),
  /** IEEE 754 binary32. */
  F32(3, 4),
  /** OCP E4M3, as most engines keep quantized KV. */
  FP8(4, 1),
  /** Bytes the cache does not interpret; only lossless codecs apply. */
  OPAQUE(5, 1);

  private final int number;
  private final int bytes;

  DType(int number, int bytes) {
    this.number = number;
    this.bytes = bytes;
  }

  /** The number that stands for this type in keys and frames; never reused. */
  public int number() {
    return number;
  }

  /** Bytes of one element. */
  public int bytes() {
    return bytes;
  }
}
