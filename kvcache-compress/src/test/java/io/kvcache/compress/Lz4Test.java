package io.kvcache.compress;

import io.kvcache.spi.Compressor;
import io.kvcache.testkit.CompressorContract;

class Lz4Test extends CompressorContract {
  @Override
  protected Compressor newCompressor() {
    return Compressors.lz4();
  }
}
