package io.kvcache.compress;

import io.kvcache.spi.Compressor;
import io.kvcache.testkit.CompressorContract;
import net.jpountz.lz4.LZ4Factory;

/** What runs where native access is denied. */
class JavaLz4Test extends CompressorContract {
  @Override
  protected Compressor newCompressor() {
    return BytePlanes.lz4(LZ4Factory.safeInstance());
  }
}
