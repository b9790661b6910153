package io.kvcache.compress;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.KvShape;
import io.kvcache.spi.Compressor;
import io.kvcache.testkit.Damage;
import java.util.HexFormat;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.Named;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Goal: whatever bytes a codec is given, it refuses them or makes something of them alone, within its segments, in
 * little time and memory. Method: what it and others wrote, damaged in every way, from a seed; the long form tries a
 * million for each codec of the list ({@code -Dtest.inputs=N}).
 */
class HostileBytesTest {
  private static final int FEW = 20_000;
  private static final int MANY = Integer.getInteger("test.inputs", 1_000_000);
  private static final int WRONG_PARAMETERS_ONE_IN = 50;

  static Stream<Named<Compressor>> codecs() {
    return Compressors.all().stream().map(codec -> Named.of(codec.name(), codec));
  }

  @ParameterizedTest
  @MethodSource("codecs")
  void survives(Compressor codec) {
    survive(codec, FEW, Long.getLong("test.seed", 20261123));
  }

  @ParameterizedTest
  @MethodSource("codecs")
  @Tag("long")
  void survivesMany(Compressor codec) {
    survive(codec, MANY, Long.getLong("test.seed", System.nanoTime()));
  }

  private static void survive(Compressor codec, int inputs, long seed) {
    HostileBytes hostile = new HostileBytes(codec);
    SplittableRandom random = new SplittableRandom(seed);
    Damage damage = new Damage(random);
    int refused = 0;
    int input = 0;
    for (int number = 0; number < hostile.shapes(); number++) {
      KvShape shape = hostile.shape(number);
      List<byte[]> stored = hostile.stored(shape);
      List<byte[]> foreign = hostile.foreign(shape);
      stored.forEach(bytes -> assertTrue(hostile.takes(shape, codec.parameters(), bytes)));
      for (int end = (int) ((number + 1L) * inputs / hostile.shapes()); input < end; input++) {
        byte[] from = stored.get(random.nextInt(stored.size()));
        boolean wrong = random.nextInt(WRONG_PARAMETERS_ONE_IN) == 0;
        int parameters = wrong ? random.nextInt() >>> random.nextInt(32) : codec.parameters();
        byte[] bytes = wrong && random.nextBoolean()
            ? from
            : damage.to(from, foreign.get(random.nextInt(foreign.size())));
        try {
          refused += hostile.takes(shape, parameters, bytes) ? 0 : 1;
        } catch (RuntimeException | AssertionError e) {
          throw new AssertionError(
              codec.name() + " of " + shape + ", -Dtest.seed=" + seed + ", input " + input
                  + ", parameters " + parameters + ": " + HexFormat.of().formatHex(bytes),
              e);
        }
      }
    }
    System.out.printf("%s: %,d damaged halves, %,d refused%n", codec.name(), inputs, refused);
    assertTrue(refused > inputs / 4, refused + " of " + inputs + " refused, seed " + seed);
  }
}
