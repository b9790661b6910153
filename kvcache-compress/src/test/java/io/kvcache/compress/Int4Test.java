package io.kvcache.compress;

import io.kvcache.spi.Compressor;

class Int4Test extends GroupQuantizerContract {
  Int4Test() {
    super(15);
  }

  @Override
  protected Compressor newCompressor() {
    return Compressors.int4();
  }
}
