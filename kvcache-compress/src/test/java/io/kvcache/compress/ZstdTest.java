package io.kvcache.compress;

import io.kvcache.spi.Compressor;
import io.kvcache.testkit.CompressorContract;

class ZstdTest extends CompressorContract {
  @Override
  protected Compressor newCompressor() {
    return Compressors.zstd();
  }
}
