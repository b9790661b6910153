package io.kvcache.compress;

import io.kvcache.spi.Compressor;

class Int2Test extends GroupQuantizerContract {
  Int2Test() {
    super(3);
  }

  @Override
  protected Compressor newCompressor() {
    return Compressors.int2();
  }
}
