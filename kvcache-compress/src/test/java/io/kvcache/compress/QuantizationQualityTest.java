package io.kvcache.compress;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.DType;
import io.kvcache.KvHalf;
import io.kvcache.KvShape;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.MalformedDataException;
import io.kvcache.testkit.KvSamples;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What the choice of groups is for: outlier channels, and sizes that add up. */
class QuantizationQualityTest {
  private static final KvShape KEYS = new KvShape(KvHalf.KEYS, 256, 8, 64, DType.BF16);
  private static final KvShape VALUES = new KvShape(KvHalf.VALUES, 256, 8, 64, DType.BF16);

  @Test
  void moreBitsAndSmallerGroupsAreCloser() throws MalformedDataException {
    for (KvShape shape : new KvShape[] {KEYS, VALUES}) {
      double int8 = relativeError(Compressors.int8(), shape, shape);
      double int4 = relativeError(Compressors.int4(), shape, shape);
      double int2 = relativeError(Compressors.int2(), shape, shape);
      assertTrue(int8 * 8 < int4, "int8 " + int8 + ", int4 " + int4);
      assertTrue(int4 * 3 < int2, "int4 " + int4 + ", int2 " + int2);
      assertTrue(relativeError(Compressors.int4(32), shape, shape)
          < relativeError(Compressors.int4(64), shape, shape));
    }
  }

  /** KIVI's reason for a scale per channel: one outlier channel coarsens all of its neighbours in a token. */
  @Test
  void keysWithOutlierChannelsNeedScalesPerChannel() throws MalformedDataException {
    double perChannel = relativeError(Compressors.int4(), KEYS, KEYS);
    double perToken = relativeError(Compressors.int4(), KEYS, VALUES);
    assertTrue(perChannel * 2 < perToken, "per channel " + perChannel + ", per token " + perToken);
  }

  @Test
  void sizesAreThoseOfTheFormat() {
    int elements = 256 * 512;
    assertEquals(4 + elements + elements / 64 * 4, storedBytes(Compressors.int8(), KEYS));
    assertEquals(4 + elements + elements / 64 * 4, storedBytes(Compressors.int8(), VALUES));
    assertEquals(8 + elements / 2 + elements / 32 * 4, storedBytes(Compressors.int4(), KEYS));
    assertEquals(8 + elements / 2 + elements / 32 * 4, storedBytes(Compressors.int4(), VALUES));
    assertEquals(8 + elements / 4 + elements / 32 * 4, storedBytes(Compressors.int2(), KEYS));
    assertEquals(8 + elements / 4 + elements / 32 * 4, storedBytes(Compressors.int2(), VALUES));
  }

  /** Decisions rest on it before anything was stored. */
  @Test
  void usualSizesAreThoseOfOrdinaryContent() {
    for (KvShape shape : new KvShape[] {KEYS, VALUES, new KvShape(KvHalf.KEYS, 19, 2, 64, DType.BF16)}) {
      for (Compressor codec : List.of(Compressors.int8(), Compressors.int4(), Compressors.int2())) {
        assertEquals(storedBytes(codec, shape), codec.usualStoredBytes(shape), codec.name() + " " + shape);
      }
    }
  }

  /** Goal: one bad number costs a block, not the half. Method: a NaN in the last of four blocks. */
  @Test
  void onlyTheBlockWithNanStaysRaw() {
    MemorySegment half = KvSamples.REALISTIC.fill(KEYS, 1);
    KvSamples.set(KEYS, half, KEYS.elements() - 1, Float.NaN);
    int rows = 64;
    long quantized = 4L * 512 + rows * 512;
    assertEquals(4 + 3 * quantized + rows * 1024, encode(Compressors.int8(), KEYS, half).byteSize());
  }

  @Test
  void losslessSavesOnRealisticKeysAndValues() {
    assertTrue(storedBytes(Compressors.lz4(), KEYS) < 0.9 * KEYS.bytes());
    assertTrue(storedBytes(Compressors.lz4(), VALUES) < 0.95 * VALUES.bytes());
  }

  /** The error of realistic keys or values, encoded as halves of {@code as}: the rows are the same bytes. */
  private static double relativeError(Compressor codec, KvShape shape, KvShape as)
      throws MalformedDataException {
    MemorySegment source = KvSamples.REALISTIC.fill(shape, 7);
    MemorySegment decoded = MemorySegment.ofArray(new byte[(int) shape.bytes()]);
    codec.decompress(as, codec.parameters(), encode(codec, as, source), decoded);
    double error = 0;
    double norm = 0;
    for (long i = 0; i < shape.elements(); i++) {
      double value = KvSamples.get(shape, source, i);
      error += Math.pow(value - KvSamples.get(shape, decoded, i), 2);
      norm += value * value;
    }
    return Math.sqrt(error / norm);
  }

  private static long storedBytes(Compressor codec, KvShape shape) {
    return encode(codec, shape, KvSamples.REALISTIC.fill(shape, 7)).byteSize();
  }

  private static MemorySegment encode(Compressor codec, KvShape shape, MemorySegment source) {
    MemorySegment room = MemorySegment.ofArray(new byte[(int) codec.maxStoredBytes(shape)]);
    return room.asSlice(0, codec.compress(shape, source, room));
  }
}
