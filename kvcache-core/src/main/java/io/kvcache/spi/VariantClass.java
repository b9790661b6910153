package io.kvcache.spi;

/** Which of a chunk's variants an entry is. */
public enum VariantClass {
  /** Bit-exact: stored raw or by a lossless codec. */
  FULL(0),
  /** Possibly lossy. */
  SERVING(1);

  private final int number;

  VariantClass(int number) {
    this.number = number;
  }

  /** The number that stands for this class in frames; never reused. */
  public int number() {
    return number;
  }
}
