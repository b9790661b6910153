package io.kvcache.compress;

import io.kvcache.spi.ResidualCompressor;
import io.kvcache.testkit.ResidualCompressorContract;

class ExactInt8Test extends ResidualCompressorContract {
  @Override
  protected ResidualCompressor newCompressor() {
    return Compressors.exactInt8();
  }
}
