package io.kvcache.bench.demo;

import io.kvcache.compress.Compressors;
import io.kvcache.spi.Compressor;
import java.util.List;

/** How KV is encoded on disk in the demo. */
enum DiskCodec {
  /** As it is. */
  RAW(null),
  /** Lossless. */
  LZ4(Compressors.lz4()),
  /** Lossy, about half the size. */
  INT8(Compressors.int8()),
  /** Lossy, about a third of the size. */
  INT4(Compressors.int4());

  private final Compressor compressor;

  DiskCodec(Compressor compressor) {
    this.compressor = compressor;
  }

  int number() {
    return compressor == null ? 0 : compressor.codec();
  }

  boolean lossless() {
    return compressor == null || compressor.fidelity().exact();
  }

  static Compressor[] compressors() {
    return List.of(LZ4, INT8, INT4).stream().map(codec -> codec.compressor).toArray(Compressor[]::new);
  }
}
