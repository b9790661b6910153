package io.kvcache.compress;

import io.kvcache.spi.Compressor;

class Int4Group64Test extends GroupQuantizerContract {
  Int4Group64Test() {
    super(15);
  }

  @Override
  protected Compressor newCompressor() {
    return Compressors.int4(64);
  }
}
