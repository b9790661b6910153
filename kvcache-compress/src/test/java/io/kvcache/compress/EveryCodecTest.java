package io.kvcache.compress;

import io.kvcache.spi.Compressor;
import io.kvcache.testkit.CompressorContract;
import java.util.stream.Stream;
import org.junit.jupiter.api.Named;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The contract, for every codec that {@link Compressors#all} lists. What a codec promises beyond what it says of itself
 * has tests of its own, which extend the contract with other parameters or a bound of their own.
 */
@ParameterizedClass(name = "{0}")
@MethodSource("codecs")
class EveryCodecTest extends CompressorContract {
  private final Compressor codec;

  EveryCodecTest(Compressor codec) {
    this.codec = codec;
  }

  static Stream<Named<Compressor>> codecs() {
    return Compressors.all().stream().map(codec -> Named.of(codec.name(), codec));
  }

  @Override
  protected Compressor newCompressor() {
    return codec;
  }
}
