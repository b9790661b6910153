package io.kvcache.compress;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.kvcache.DType;
import io.kvcache.KvHalf;
import io.kvcache.KvShape;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.MalformedDataException;
import io.kvcache.testkit.KvSamples;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.HexFormat;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Pins format version 1. A change that breaks these tests makes stored data unreadable: it needs a codec
 * number of its own. The quantized bytes were decoded by a second program, written from the description
 * alone.
 */
class GoldenBytesTest {
  @ParameterizedTest
  @CsvSource({
    "int8, BF16, 00082708230827000000c34056807f80a45aa4c936c9ed12ed12ed1236c9365aa45a7f807f",
    "int4, BF16, 00783778337837000000c34056000f220d440b66099906bb04dd02ff00",
    "int2, BF16, 00ab40ab3cab40000000c340560c0c191926263333",
    "int8, F16, 000827082708230000405600c380807fa4a45ac9c936eded121212ed3636c95a5aa47f7f80",
    "int4, F16, 007837783778330000405600c3f000d202b404960669094b0b2d0d0f0f",
    "int2, F16, 00ab40ab40ab3c0000405600c3303025251a1a0f0f",
    "int8, F32, 000827082708230000405600c380807fa4a45ac9c936eded121212ed3636c95a5aa47f7f80",
    "int4, F32, 007837783778330000405600c3f000d202b404960669094b0b2d0d0f0f",
    "int2, F32, 00ab40ab40ab3c0000405600c3303025251a1a0f0f"
  })
  void keysAreQuantizedAsVersion1Does(String codec, DType dtype, String stored) throws Exception {
    KvShape shape = new KvShape(KvHalf.KEYS, 8, 1, 3, dtype);
    MemorySegment half = threeChannels(shape);
    assertQuantized(codec, shape, half, stored, codec.equals("int2") ? 1.2f : 0.21f);
  }

  @ParameterizedTest
  @CsvSource({
    "int8, BF16, 00c8270722c82b0726000000c8000000cc8090a1b1c2d2e3f30414243545566677802a8899a9bacadae"
        + "bfb0c1c2d3d4e5e6f7fd57f8090a1b1c2d2e3f30414243545566677802a8899a9bacadaebfb0c1c2d3d4e5e6f7"
        + "fd57f",
    "int4, BF16, 0023386732233c6736000000c8000000cc00112233445566778899aabbccddeeff50fa0011223344556"
        + "6778899aabbccddeeff50fa",
    "int2, BF16, 002b41003c2b450040000000c8000000cc88888899dddddd51ea88888899dddddd51ea",
    "int8, F16, 00c8270722c82b0726000000c8000000cc80889099a1a9b1bac2cad2dae3ebf3fb040c141c242d353d45"
        + "4e565e666f777f80d52a7f80889099a1a9b1bac2cad2dae3ebf3fb040c141c242d353d454e565e666f777f80d5"
        + "2a7f",
    "int4, F16, 0023386732233c6736000000c8000000cc9090a1a1b2b2c3c3d4d4e5e5f6f60757a8f89090a1a1b2b2c3"
        + "c3d4d4e5e5f6f60757a8f8",
    "int2, F16, 002b41003c2b450040000000c8000000cce4e4e4e4e42465a9f9e4e4e4e4e42465a9f9",
    "int8, F32, 00c8270722c82b0726000000c8000000cc80889099a1a9b1bac2cad2dae3ebf3fb040c141c242d353d45"
        + "4e565e666f777f80d52a7f80889099a1a9b1bac2cad2dae3ebf3fb040c141c242d353d454e565e666f777f80d5"
        + "2a7f",
    "int4, F32, 0023386732233c6736000000c8000000cc9090a1a1b2b2c3c3d4d4e5e5f6f60757a8f89090a1a1b2b2c3"
        + "c3d4d4e5e5f6f60757a8f8",
    "int2, F32, 002b41003c2b450040000000c8000000cce4e4e4e4e42465a9f9e4e4e4e4e42465a9f9"
  })
  void valuesAreQuantizedAsVersion1Does(String codec, DType dtype, String stored) throws Exception {
    // Two tokens of a full group, c / 4, and a smaller one, c - 40; everything doubled in the second token.
    KvShape shape = new KvShape(KvHalf.VALUES, 2, 1, 36, dtype);
    MemorySegment half = half(shape);
    for (int i = 0; i < 72; i++) {
      int channel = i % 36;
      KvSamples.set(shape, half, i, (channel < 32 ? channel * 0.25f : channel - 40) * (i / 36 + 1));
    }
    assertQuantized(codec, shape, half, stored, codec.equals("int2") ? 2.7f : 0.52f);
  }

  private static void assertQuantized(String name, KvShape shape, MemorySegment half, String stored,
      float bound)
      throws MalformedDataException {
    Compressor codec = switch (name) {
      case "int8" -> Compressors.int8(32);
      case "int4" -> Compressors.int4(32);
      default -> Compressors.int2(32);
    };
    assertEquals(stored, hex(codec, shape, half), shape.toString());
    MemorySegment decoded = half(shape);
    codec.decompress(shape, 32, bytes(stored), decoded);
    for (long i = 0; i < shape.elements(); i++) {
      assertEquals(KvSamples.get(shape, half, i), KvSamples.get(shape, decoded, i), bound, "element " + i);
    }
  }

  /** The base is that of the keys above; planes of 24 bytes stay as they are. */
  @ParameterizedTest
  @CsvSource({
    "int8exact, BF16, 25000000"
        + "00082708230827000000c34056807f80a45aa4c936c9ed12ed12ed1236c9365aa45a7f807f"
        + "00180000000018000000"
        + "80808783808280808080807f808080808080808080808080"
        + "0000c5000000000000000000000000000000000000000000",
    "int4exact, BF16, 1d000000"
        + "00783778337837000000c34056000f220d440b66099906bb04dd02ff00"
        + "00180000000018000000"
        + "8080ff91806e91806f8d80737a80867c80847e8082808080"
        + "0000c5000000000000000000000000000000000000000000",
    "int8exact, F16, 25000000"
        + "000827082708230000405600c380807fa4a45ac9c936eded121212ed3636c95a5aa47f7f80"
        + "00180000000018000000"
        + "8080bf97808d7d808183807b7d808280807f8380837f8080"
        + "0000e8000000000000000000000000000000000000000000",
    "int4exact, F16, 1d000000"
        + "007837783778330000405600c3f000d202b404960669094b0b2d0d0f0f"
        + "00180000000018000000"
        + "80807f0881f40882f6e683194c7db35e7ea26e7f91808080"
        + "0000ec0100ff0100ff000000000000000000000000000000",
    "int8exact, F32, 25000000"
        + "000827082708230000405600c380807fa4a45ac9c936eded121212ed3636c95a5aa47f7f80"
        + "0018000000001800000000180000000018000000"
        + "80807f80408080f08080b08080608080208080e080809080"
        + "8080806086182e7d94e683dc2e7bb38a8157e686dc617e80"
        + "80808883808280808080807f808080808080808080808080"
        + "0000c5000000000000000000000000000000000000000000",
    "int4exact, F32, 1d000000"
        + "007837783778330000405600c3f000d202b404960669094b0b2d0d0f0f"
        + "0018000000001800000000180000000018000000"
        + "80807f808080808080808080808080808080808080808080"
        + "80808080a20080c44040e6a01019e0303bc0505da0707f80"
        + "80800091806f91806f8d80737a80867c80847e8082808080"
        + "0000c6000000000000000000000000000000000000000000"
  })
  void basesAndResidualsAreAsVersion1Has(String name, DType dtype, String stored) throws Exception {
    Compressor codec = name.equals("int8exact") ? Compressors.exactInt8(32) : Compressors.exactInt4(32);
    KvShape shape = new KvShape(KvHalf.KEYS, 8, 1, 3, dtype);
    MemorySegment half = threeChannels(shape);
    assertEquals(stored, hex(codec, shape, half));
    MemorySegment decoded = half(shape);
    codec.decompress(shape, 32, bytes(stored), decoded);
    assertEquals(-1, half.mismatch(decoded));
  }

  /** In token t: t, 100 + t and -t / 2. */
  private static MemorySegment threeChannels(KvShape shape) {
    MemorySegment half = half(shape);
    for (int token = 0; token < shape.tokens(); token++) {
      KvSamples.set(shape, half, 3 * token, token);
      KvSamples.set(shape, half, 3 * token + 1, 100 + token);
      KvSamples.set(shape, half, 3 * token + 2, -0.5f * token);
    }
    return half;
  }

  /** Plane 0 raw; plane 1 turned: 32 times 3f, then 32 times c1. */
  @Test
  void turnedPlaneReadsAsVersion1Wrote() throws MalformedDataException {
    assertReads(Compressors.lz4(), KvHalf.KEYS,
        "0040000000" + "0210000000" + LOW_PLANE + "1f3f01000c1fc101000750c1c1c1c1c1");
    assertReads(Compressors.zstd(), KvHalf.KEYS,
        "0040000000" + "0418000000" + LOW_PLANE + "14000000" + "28b52ffd20405d0000183f3fc10200a01122c002");
  }

  /** Plane 0 raw; plane 1 in order: 3f and c1 by turns. */
  @Test
  void planeInOrderReadsAsVersion1Wrote() throws MalformedDataException {
    assertReads(Compressors.lz4(), KvHalf.VALUES,
        "0040000000" + "010c000000" + LOW_PLANE + "2f3fc102002650c13fc13fc1");
    assertReads(Compressors.zstd(), KvHalf.VALUES,
        "0040000000" + "0315000000" + LOW_PLANE + "11000000" + "28b52ffd2040450000103fc101004b7258");
  }

  private static final String LOW_PLANE =
      "0007256c4ad16f36949bb900de6503ca282f4d9472f9975ebcc3e128068d2bf2"
          + "505775bc9a21bf86e4eb09502eb5531a787f9de4c249e7ae0c13317856dd7b42";

  /** Encoders of LZ4 and Zstandard may choose other matches than these, so only reading is pinned. */
  private static void assertReads(Compressor codec, KvHalf which, String stored)
      throws MalformedDataException {
    KvShape shape = new KvShape(which, 32, 1, 2, DType.BF16);
    byte[] expected = new byte[128];
    for (int token = 0; token < 32; token++) {
      expected[4 * token] = (byte) (37 * token);
      expected[4 * token + 1] = 0x3f;
      expected[4 * token + 2] = (byte) (101 * token + 7);
      expected[4 * token + 3] = (byte) 0xc1;
    }
    MemorySegment decoded = half(shape);
    codec.decompress(shape, 0, bytes(stored), decoded);
    assertArrayEquals(expected, decoded.toArray(ValueLayout.JAVA_BYTE));
  }

  private static MemorySegment half(KvShape shape) {
    return MemorySegment.ofArray(new byte[(int) shape.bytes()]);
  }

  private static MemorySegment bytes(String hex) {
    return MemorySegment.ofArray(HexFormat.of().parseHex(hex));
  }

  private static String hex(Compressor codec, KvShape shape, MemorySegment half) {
    byte[] room = new byte[(int) codec.maxStoredBytes(shape)];
    int length = (int) codec.compress(shape, half, MemorySegment.ofArray(room));
    return HexFormat.of().formatHex(room, 0, length);
  }
}
