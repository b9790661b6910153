package io.kvcache.compress;

import io.kvcache.spi.Compressor;

class Int8Group32Test extends GroupQuantizerContract {
  Int8Group32Test() {
    super(255);
  }

  @Override
  protected Compressor newCompressor() {
    return Compressors.int8(32);
  }
}
