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
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** The error bound of every level, computed apart from the codec. */
@ParameterizedClass(name = "level {0}")
@CsvSource({"0, 0.015625, 0.03125", "1, 0.1, 0.3", "2, 0.2, 0.6", "3, 0.5, 1.5"})
class EntropyQuantizerTest {
  private static final int BLOCK = 256;

  private final int level;
  private final double keyStep;
  private final double valueStep;

  EntropyQuantizerTest(int level, double keyStep, double valueStep) {
    this.level = level;
    this.keyStep = keyStep;
    this.valueStep = valueStep;
  }

  /** One block and two, full and partial, odd widths, one token. */
  @ParameterizedTest
  @EnumSource(KvSamples.class)
  void noErrorExceedsTheBound(KvSamples sample) throws MalformedDataException {
    int[][] sizes = {{256, 1, 64}, {300, 2, 8}, {513, 1, 12}, {64, 4, 32}, {5, 3, 7}, {33, 2, 40}, {1, 1, 1}};
    for (int[] size : sizes) {
      for (DType dtype : List.of(DType.BF16, DType.F16, DType.F32)) {
        for (KvHalf half : KvHalf.values()) {
          assertFaithful(new KvShape(half, size[0], size[1], size[2], dtype), sample);
        }
      }
    }
  }

  private void assertFaithful(KvShape shape, KvSamples sample) throws MalformedDataException {
    Compressor codec = Compressors.entropy(level);
    MemorySegment source = sample.fill(shape, 5);
    MemorySegment room = MemorySegment.ofArray(new byte[(int) codec.maxStoredBytes(shape)]);
    MemorySegment decoded = MemorySegment.ofArray(new byte[(int) shape.bytes()]);
    codec.decompress(shape, 0, room.asSlice(0, codec.compress(shape, source, room)), decoded);
    for (int token = 0; token < shape.tokens(); token += BLOCK) {
      assertBlock(shape, source, decoded, token, Math.min(BLOCK, shape.tokens() - token));
    }
  }

  private void assertBlock(KvShape shape, MemorySegment source, MemorySegment decoded, int from, int rows) {
    int channels = shape.channels();
    double[] sum = new double[channels];
    double[] power = new double[rows];
    double greatest = 0;
    int finite = 0;
    for (int row = 0; row < rows; row++) {
      for (int channel = 0; channel < channels; channel++) {
        double value = get(shape, source, from + row, channel);
        power[row] += value * value;
        greatest = Double.isFinite(value) ? Math.max(greatest, Math.abs(value)) : greatest;
      }
      if (Double.isFinite(power[row])) {
        finite++;
        for (int channel = 0; channel < channels; channel++) {
          sum[channel] += get(shape, source, from + row, channel);
        }
      }
    }
    double spread = 0;
    double mean = 0;
    for (int row = 0; row < rows; row++) {
      for (int channel = 0; channel < channels && Double.isFinite(power[row]); channel++) {
        spread += Math.pow(get(shape, source, from + row, channel) - sum[channel] / finite, 2);
      }
      mean += Double.isFinite(power[row]) ? power[row] / finite : 0;
    }
    // Up to an eighth of the rows may not have counted.
    double deviation = Math.sqrt(spread / finite / channels * 8 / 7);
    double step = Math.max((shape.half() == KvHalf.KEYS ? keyStep : valueStep) * deviation,
        Math.max(greatest * 0x1p-20, 0x1p-100));
    for (int row = 0; row < rows; row++) {
      double scale = shape.half() == KvHalf.KEYS || mean == 0 ? 1
          : Math.pow(Math.min(8, 8 * power[row] / 7 / mean), 0.25);
      for (int channel = 0; channel < channels; channel++) {
        double value = get(shape, source, from + row, channel);
        double result = get(shape, decoded, from + row, channel);
        if (!Double.isFinite(power[row])) {
          assertEquals(value, result, () -> "not exact in " + shape);
          continue;
        }
        double bound = step * Math.max(scale, 0.125) * (0.5 + 1 / 1024.0) + greatest * 0x1p-22
            + rounding(shape.dtype(), Math.abs(result));
        assertTrue(Math.abs(value - result) <= bound,
            () -> value + " came back as " + result + ", bound " + bound + ", " + shape);
      }
    }
  }

  private static double get(KvShape shape, MemorySegment half, int token, int channel) {
    return KvSamples.get(shape, half, (long) token * shape.channels() + channel);
  }

  private static double rounding(DType dtype, double magnitude) {
    return switch (dtype) {
      case BF16 -> magnitude * 0x1p-8;
      case F16 -> magnitude * 0x1p-11 + 0x1p-25;
      case F32 -> magnitude * 0x1p-22;
      case FP8, OPAQUE -> 0;
    };
  }
}
