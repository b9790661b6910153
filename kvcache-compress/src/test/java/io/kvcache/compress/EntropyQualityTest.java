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
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** What an entropy coder, predictions, scales and raw rows are for. */
class EntropyQualityTest {
  private static final KvShape KEYS = new KvShape(KvHalf.KEYS, 256, 2, 64, DType.BF16);
  private static final KvShape VALUES = new KvShape(KvHalf.VALUES, 256, 2, 64, DType.BF16);
  private static final int LEVELS = 4;

  @Test
  void eachLevelIsSmallerAndFurtherOff() throws MalformedDataException {
    for (KvShape shape : new KvShape[] {KEYS, VALUES}) {
      MemorySegment half = KvSamples.REALISTIC.fill(shape, 7);
      for (int level = 1; level < LEVELS; level++) {
        assertTrue(stored(level, shape, half) < stored(level - 1, shape, half));
        assertTrue(error(level, shape, half, 0, 256) > error(level - 1, shape, half, 0, 256));
      }
    }
  }

  /** Goal: channels that change slowly cost less. Method: the same tokens in another order. */
  @Test
  void predictionsSaveInSlowChannels() {
    MemorySegment slow =
        half(KEYS, (token, channel, random) -> channel % 2 == 0 ? (float) random.nextGaussian()
            : (float) (3 * Math.sin(0.02 * token + channel) + 0.2 * random.nextGaussian()));
    MemorySegment mixed = MemorySegment.ofArray(new byte[(int) KEYS.bytes()]);
    long row = KEYS.bytes() / 256;
    for (int token = 0; token < 256; token++) {
      MemorySegment.copy(slow, token * row, mixed, 101 * token % 256 * row, row);
    }
    for (int level = 0; level < LEVELS; level++) {
      assertTrue(stored(level, KEYS, slow) < 0.9 * stored(level, KEYS, mixed), "level " + level);
    }
  }

  /** Goal: channels that hardly move cost hardly anything. Method: a half with one moving channel in eight. */
  @Test
  void classesOfChannelsHaveTablesOfTheirOwn() {
    MemorySegment half =
        half(VALUES, (token, channel, random) -> channel % 8 == 0 ? (float) random.nextGaussian()
            : (float) (0.001 * random.nextGaussian()));
    double bits = 8.0 * stored(1, VALUES, half) / VALUES.elements();
    assertTrue(bits < 1, bits + " bits an element");
  }

  /** Goal: the values of a token that others attend to much, which tend to be small, stay close. */
  @Test
  void smallTokensHaveSmallErrors() throws MalformedDataException {
    MemorySegment half = half(VALUES,
        (token, channel, random) -> (float) (random.nextGaussian() * (token == 0 ? 0.01 : 1)));
    for (int level = 0; level < LEVELS; level++) {
      assertTrue(error(level, VALUES, half, 0, 1) < 0.2 * error(level, VALUES, half, 1, 255));
    }
  }

  /** Goal: one bad number costs a row, not the half. */
  @Test
  void onlyTheRowWithNanStaysRaw() throws MalformedDataException {
    for (KvShape shape : new KvShape[] {KEYS, VALUES}) {
      MemorySegment half = KvSamples.REALISTIC.fill(shape, 1);
      long before = stored(2, shape, half);
      double error = error(2, shape, half, 0, 100);
      KvSamples.set(shape, half, 100L * shape.channels() + 3, Float.NaN);
      assertTrue(Math.abs(stored(2, shape, half) - before - 32 - 256) < 128);
      assertEquals(error, error(2, shape, half, 0, 100), 0.01 * error);
    }
  }

  /** Goal: one absurd number does not round all others to nothing. */
  @Test
  void oneHugeRowDoesNotRoundTheOthersAway() throws MalformedDataException {
    for (KvShape shape : new KvShape[] {KEYS, VALUES}) {
      MemorySegment half = KvSamples.REALISTIC.fill(shape, 1);
      double error = error(1, shape, half, 0, 100);
      KvSamples.set(shape, half, 100L * shape.channels() + 3, 1e30f);
      assertEquals(error, error(1, shape, half, 0, 100), 0.01 * error);
    }
  }

  /** Goal: what is said of a whole block is of 256 tokens each. Method: the second is a thousand times the first. */
  @Test
  void blocksAreCodedOnTheirOwn() throws MalformedDataException {
    KvShape shape = new KvShape(KvHalf.VALUES, 300, 2, 64, DType.F32);
    MemorySegment half = half(shape,
        (token, channel, random) -> (float) (random.nextGaussian() * (token < 256 ? 1 : 1000)));
    assertTrue(error(1, shape, half, 0, 256) < 0.1);
    assertTrue(error(1, shape, half, 256, 44) > 10);
  }

  private interface Element {
    float of(int token, int channel, SplittableRandom random);
  }

  private static MemorySegment half(KvShape shape, Element element) {
    MemorySegment half = MemorySegment.ofArray(new byte[(int) shape.bytes()]);
    SplittableRandom random = new SplittableRandom(11);
    for (int token = 0; token < shape.tokens(); token++) {
      for (int channel = 0; channel < shape.channels(); channel++) {
        KvSamples.set(shape, half, (long) token * shape.channels() + channel,
            element.of(token, channel, random));
      }
    }
    return half;
  }

  private static long stored(int level, KvShape shape, MemorySegment half) {
    Compressor codec = Compressors.entropy(level);
    return codec.compress(shape, half, MemorySegment.ofArray(new byte[(int) codec.maxStoredBytes(shape)]));
  }

  /** The root of the mean square of the error in some rows. */
  private static double error(int level, KvShape shape, MemorySegment half, int from, int rows)
      throws MalformedDataException {
    Compressor codec = Compressors.entropy(level);
    MemorySegment room = MemorySegment.ofArray(new byte[(int) codec.maxStoredBytes(shape)]);
    MemorySegment decoded = MemorySegment.ofArray(new byte[(int) shape.bytes()]);
    codec.decompress(shape, 0, room.asSlice(0, codec.compress(shape, half, room)), decoded);
    double error = 0;
    long first = (long) from * shape.channels();
    for (long i = first; i < first + (long) rows * shape.channels(); i++) {
      error += Math.pow((double) KvSamples.get(shape, half, i) - KvSamples.get(shape, decoded, i), 2);
    }
    return Math.sqrt(error / rows / shape.channels());
  }
}
