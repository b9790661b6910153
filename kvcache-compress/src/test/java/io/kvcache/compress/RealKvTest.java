package io.kvcache.compress;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.DType;
import io.kvcache.KvHalf;
import io.kvcache.KvShape;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.MalformedDataException;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * What the codecs make of KV that a trained model computed; {@code kvcache-bench kv-sample --out FILE} writes the
 * sample. Bounds are about a third looser than what was measured, so that they notice a codec that got worse.
 */
class RealKvTest {
  private static final String SAMPLE = "kv-sample.bin";

  private static final List<Half> HALVES = new ArrayList<>();

  /** Keys or values of one layer, in bf16. */
  record Half(KvShape shape, byte[] bytes) {}

  /** What one codec made of all halves of a kind. */
  private record Score(double storedShare, double relativeError) {}

  @BeforeAll
  static void read() throws IOException {
    HALVES.addAll(readSample());
  }

  /** All halves of the sample, keys and values by turns. */
  static List<Half> readSample() throws IOException {
    List<Half> all = new ArrayList<>();
    try (InputStream in = RealKvTest.class.getResourceAsStream(SAMPLE)) {
      ByteBuffer sample = ByteBuffer.wrap(in.readAllBytes()).order(ByteOrder.LITTLE_ENDIAN);
      int halves = sample.getInt() * sample.getInt() * 2;
      int tokens = sample.getInt();
      int kvHeads = sample.getInt();
      int headDim = sample.getInt();
      for (int number = 0; number < halves; number++) {
        KvHalf half = KvHalf.values()[number % 2];
        KvShape shape = new KvShape(half, tokens, kvHeads, headDim, DType.BF16);
        byte[] bytes = new byte[(int) shape.bytes()];
        sample.get(bytes);
        all.add(new Half(shape, bytes));
      }
      assertEquals(0, sample.remaining(), "bytes left of the sample");
    }
    return all;
  }

  @Test
  void losslessIsExactAndSmaller() throws MalformedDataException {
    for (Half half : HALVES) {
      assertArrayEquals(half.bytes, roundTrip(Compressors.lz4(), half, new long[1]));
      assertArrayEquals(half.bytes, roundTrip(Compressors.zstd(), half, new long[1]));
    }
    for (KvHalf kind : KvHalf.values()) {
      Score lz4 = score(Compressors.lz4(), kind);
      Score zstd = score(Compressors.zstd(), kind);
      assertTrue(lz4.storedShare < 0.95, kind + " " + lz4);
      assertTrue(zstd.storedShare < 0.78, kind + " " + zstd);
    }
  }

  @Test
  void quantizationKeepsItsErrorSmall() throws MalformedDataException {
    for (KvHalf half : KvHalf.values()) {
      Score int8 = score(Compressors.int8(), half);
      Score int4 = score(Compressors.int4(), half);
      Score int2 = score(Compressors.int2(), half);
      assertTrue(int8.relativeError < 0.01, half + " " + int8);
      assertTrue(int4.relativeError < 0.15, half + " " + int4);
      assertTrue(int2.relativeError < 0.53, half + " " + int2);
      assertTrue(int8.storedShare < 0.56, half + " " + int8);
      assertTrue(int4.storedShare < 0.33, half + " " + int4);
      assertTrue(int2.storedShare < 0.19, half + " " + int2);
    }
  }

  /** Goal: an entropy coder pays. Method: about the error of int8 and int4, or less, in fewer bytes. */
  @Test
  void entropyCodingIsSmallerForTheSameError() throws MalformedDataException {
    for (KvHalf half : KvHalf.values()) {
      Score int8 = score(Compressors.int8(), half);
      Score int4 = score(Compressors.int4(), half);
      Score[] level = new Score[4];
      for (int number = 0; number < level.length; number++) {
        level[number] = score(Compressors.entropy(number), half);
      }
      String scores = half + " " + int8 + " " + int4 + " " + Arrays.toString(level);
      assertTrue(level[0].storedShare < 0.92 * int8.storedShare, scores);
      assertTrue(level[0].relativeError < 1.5 * int8.relativeError, scores);
      assertTrue(level[1].storedShare < 1.03 * int4.storedShare, scores);
      assertTrue(level[1].relativeError < int4.relativeError, scores);
      assertTrue(level[2].storedShare < 0.85 * int4.storedShare, scores);
      assertTrue(level[3].storedShare < 0.18, scores);
      assertTrue(level[2].relativeError < 0.2 && level[3].relativeError < 0.45, scores);
    }
    assertTrue(score(Compressors.entropy(1), KvHalf.KEYS).relativeError
        < score(Compressors.int4(), KvHalf.KEYS).relativeError / 2);
  }

  /** Decisions rest on it before anything was stored. */
  @Test
  void usualSizesOfEntropyCodingAreThoseOfRealKv() throws MalformedDataException {
    for (Half half : List.of(HALVES.get(0), HALVES.get(1))) {
      for (int level = 0; level < 4; level++) {
        double stored = score(Compressors.entropy(level), half.shape.half()).storedShare * half.bytes.length;
        double usual = Compressors.entropy(level).usualStoredBytes(half.shape);
        assertEquals(1, stored / usual, 0.1, "level " + level + ", " + half.shape);
      }
    }
  }

  private static Score score(Compressor codec, KvHalf kind) throws MalformedDataException {
    long stored = 0;
    long plain = 0;
    double error = 0;
    double power = 0;
    for (Half half : HALVES) {
      if (half.shape.half() == kind) {
        long[] length = new long[1];
        float[] before = floats(half.bytes);
        float[] after = floats(roundTrip(codec, half, length));
        stored += length[0];
        plain += half.bytes.length;
        for (int at = 0; at < before.length; at++) {
          error += Math.pow(after[at] - before[at], 2);
          power += Math.pow(before[at], 2);
        }
      }
    }
    return new Score((double) stored / plain, Math.sqrt(error / power));
  }

  private static byte[] roundTrip(Compressor codec, Half half, long[] length) throws MalformedDataException {
    byte[] stored = new byte[(int) codec.maxStoredBytes(half.shape)];
    length[0] = codec.compress(half.shape, MemorySegment.ofArray(half.bytes), MemorySegment.ofArray(stored));
    byte[] back = new byte[half.bytes.length];
    codec.decompress(half.shape, codec.parameters(), MemorySegment.ofArray(stored).asSlice(0, length[0]),
        MemorySegment.ofArray(back));
    return back;
  }

  private static float[] floats(byte[] bf16) {
    ByteBuffer in = ByteBuffer.wrap(bf16).order(ByteOrder.LITTLE_ENDIAN);
    float[] floats = new float[bf16.length / Short.BYTES];
    for (int at = 0; at < floats.length; at++) {
      floats[at] = Float.intBitsToFloat(in.getShort() << Short.SIZE);
    }
    return floats;
  }
}
