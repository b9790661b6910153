package io.kvcache.compress;

import io.kvcache.spi.Compressor;

class Int2Group64Test extends GroupQuantizerContract {
  Int2Group64Test() {
    super(3);
  }

  @Override
  protected Compressor newCompressor() {
    return Compressors.int2(64);
  }
}
