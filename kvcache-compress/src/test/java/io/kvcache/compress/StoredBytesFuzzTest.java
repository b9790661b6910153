package io.kvcache.compress;

import com.code_intelligence.jazzer.junit.FuzzTest;
import io.kvcache.KvShape;
import io.kvcache.spi.Compressor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * As {@link HostileBytesTest}, but bytes are searched for by the paths they take through the code. Run as any test it
 * tries the inputs that were found (files in the resources beside this class) and what every codec writes; with
 * {@code JAZZER_FUZZ=1} it goes on searching for as long as {@link FuzzTest#maxDuration} says.
 *
 * <p>An input: one byte that names the codec by its number, or any codec where there is no such number; one for the
 * shape; int32 parameters, little-endian, 0 for the codec's own; then the stored bytes.
 */
class StoredBytesFuzzTest {
  private static final int HEAD_BYTES = 6;

  private static final List<Compressor> CODECS = Compressors.all();
  private static final Map<Integer, HostileBytes> HOSTILE = new HashMap<>();

  private static HostileBytes hostile(Compressor codec) {
    return HOSTILE.computeIfAbsent(codec.codec(), any -> new HostileBytes(codec));
  }

  static Stream<byte[]> seeds() {
    return CODECS.stream().flatMap(codec -> {
      HostileBytes hostile = hostile(codec);
      return Stream.iterate(0, number -> number + 1).limit(hostile.shapes())
          .flatMap(number -> hostile.stored(hostile.shape(number)).stream()
              .map(stored -> ByteBuffer.allocate(HEAD_BYTES + stored.length).order(ByteOrder.LITTLE_ENDIAN)
                  .put((byte) codec.codec()).put((byte) (int) number).putInt(0).put(stored).array()));
    });
  }

  @MethodSource("seeds")
  @FuzzTest(maxDuration = "10m")
  void decodes(byte[] input) {
    if (input == null || input.length < HEAD_BYTES) {
      return;
    }
    int number = input[0] & 0xff;
    Compressor codec = CODECS.stream().filter(each -> each.codec() == number).findFirst()
        .orElse(CODECS.get(number % CODECS.size()));
    HostileBytes hostile = hostile(codec);
    KvShape shape = hostile.shape(input[1] & 0xff);
    int given = ByteBuffer.wrap(input).order(ByteOrder.LITTLE_ENDIAN).getInt(2);
    hostile.takes(shape, given == 0 ? codec.parameters() : given,
        Arrays.copyOfRange(input, HEAD_BYTES, input.length));
  }
}
