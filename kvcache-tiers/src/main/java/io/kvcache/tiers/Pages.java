package io.kvcache.tiers;

/** The unit in which memory and extent files are handed out. */
final class Pages {
  /** Bytes of a page: what direct I/O must be aligned to. */
  static final int BYTES = 4096;

  private Pages() {}

  /** Pages that hold {@code bytes}, which must not be negative. */
  static long holding(long bytes) {
    return bytes / BYTES + (bytes % BYTES == 0 ? 0 : 1);
  }

  /** {@code bytes} rounded up to whole pages. */
  static long roundUp(long bytes) {
    return holding(bytes) * BYTES;
  }
}
