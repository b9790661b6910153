package io.kvcache.compress;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.DType;
import io.kvcache.KvHalf;
import io.kvcache.KvShape;
import io.kvcache.testkit.CompressorContract;
import io.kvcache.testkit.KvSamples;
import java.lang.foreign.MemorySegment;

/** The error bound of quantization by groups, computed apart from the codec, in binary64. */
abstract class GroupQuantizerContract extends CompressorContract {
  private final int most;

  /** With the highest code, 3, 15 or 255. */
  GroupQuantizerContract(int most) {
    this.most = most;
  }

  @Override
  protected void assertFaithful(KvShape shape, MemorySegment source, MemorySegment decoded) {
    int group = newCompressor().parameters();
    int rowStep = shape.half() == KvHalf.KEYS ? group : 1;
    int channelStep = shape.half() == KvHalf.KEYS ? 1 : group;
    for (int token = 0; token < shape.tokens(); token += rowStep) {
      for (int channel = 0; channel < shape.channels(); channel += channelStep) {
        int rows = Math.min(rowStep, shape.tokens() - token);
        assertGroup(shape, source, decoded, token, rows, channel,
            Math.min(channelStep, shape.channels() - channel));
      }
    }
  }

  private void assertGroup(KvShape shape, MemorySegment source, MemorySegment decoded, int firstToken,
      int tokens, int firstChannel, int channels) {
    double low = Double.POSITIVE_INFINITY;
    double high = Double.NEGATIVE_INFINITY;
    for (int i = 0; i < tokens * channels; i++) {
      float value = KvSamples.get(shape, source, element(shape, firstToken, firstChannel, channels, i));
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    double step = Math.abs(low) / 1024 + 0x1p-24; // what rounding the zero down may add
    double scale = (high - low + step) / most * (1 + 1 / 1024.0) + 0x1p-24;
    boolean mustBeExact = !(Math.abs(low) <= 65504 && (high - low) / most <= 65504);
    for (int i = 0; i < tokens * channels; i++) {
      long element = element(shape, firstToken, firstChannel, channels, i);
      float value = KvSamples.get(shape, source, element);
      float result = KvSamples.get(shape, decoded, element);
      if (mustBeExact) {
        assertEquals(Float.floatToRawIntBits(value), Float.floatToRawIntBits(result), shape + " " + element);
      } else {
        double bound = scale / 2 + rounding(shape.dtype(), Math.abs(result) + scale);
        assertTrue(Math.abs((double) value - result) <= bound,
            () -> value + " came back as " + result + ", bound " + bound + ", " + shape + " " + element);
      }
    }
  }

  private static long element(KvShape shape, int firstToken, int firstChannel, int channels, int i) {
    return (long) (firstToken + i / channels) * shape.channels() + firstChannel + i % channels;
  }

  private static double rounding(DType dtype, double magnitude) {
    return switch (dtype) {
      case BF16 -> magnitude * 0x1p-8;
      case F16 -> magnitude * 0x1p-11 + 0x1p-25;
      case F32 -> magnitude * 0x1p-21;
      case FP8, OPAQUE -> 0;
    };
  }
}
