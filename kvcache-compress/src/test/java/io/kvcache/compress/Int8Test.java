package io.kvcache.compress;

import io.kvcache.spi.Compressor;

class Int8Test extends GroupQuantizerContract {
  Int8Test() {
    super(255);
  }

  @Override
  protected Compressor newCompressor() {
    return Compressors.int8();
  }
}
