package io.kvcache.testkit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.DType;
import io.kvcache.Fidelity;
import io.kvcache.KvShape;
import io.kvcache.spi.Compressor;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * How far a lossy codec's results may be off, by nothing but what it says of itself.
 *
 * <p>An error here is the root mean square of the differences, relative to that of the numbers. Rounding groups of 32
 * to 64 normal numbers to {@code bits} of their range makes one of about {@code 1.4 · 2^-bits}; nearly twice that is
 * allowed. Codecs that spend their bits otherwise, as floating point does, are further off, and say so by their nominal
 * quality: each thousandth that it is below 1 allows for a hundredth of error, where int8 to int2 need 0.6 to 0.9.
 * What would come of zeros, or of the mean, is never close enough.
 */
public final class Closeness {
  private static final double OF_BITS = 2.5;
  private static final double OF_QUALITY = 10;
  private static final double MOST = 0.9;
  /** What rounding a scale or an offset to binary16 may add to numbers that are smaller than all of those. */
  private static final double TINY = 0x1p-20;

  private final Compressor codec;
  private final KvShape shape;
  private final MemorySegment source;
  private final MemorySegment decoded;

  /** Of what came back of {@code source}, which is not of a type that only lossless codecs know. */
  public Closeness(Compressor codec, KvShape shape, MemorySegment source, MemorySegment decoded) {
    assertFalse(shape.dtype() == DType.OPAQUE || shape.dtype() == DType.FP8,
        "a lossy codec of " + shape.dtype() + " says itself how far it may be off");
    this.codec = codec;
    this.shape = shape;
    this.source = source;
    this.decoded = decoded;
  }

  /** The greatest error that is close enough. */
  double most() {
    if (!(codec.fidelity() instanceof Fidelity.Quantized(int bits))) {
      throw new AssertionError(codec.name() + " is neither exact nor quantized");
    }
    double said = Math.max(OF_BITS * Math.pow(2, -bits), OF_QUALITY * (1 - codec.nominalQuality()));
    return Math.min(MOST, said);
  }

  /** Of any numbers: those that are not finite come back as they were, the others as close as all of them must. */
  public void requireAll() {
    double error = 0;
    double power = 0;
    for (long at = 0; at < shape.elements(); at++) {
      float was = KvSamples.get(shape, source, at);
      float is = KvSamples.get(shape, decoded, at);
      if (Float.isFinite(was)) {
        assertTrue(Float.isFinite(is), was + " came back as " + is + ", " + shape + " " + at);
        error += square((double) was - is);
        power += square(was);
      } else {
        assertEquals(was, is, shape + " " + at);
      }
    }
    double count = Math.max(1, shape.elements());
    requireClose(Math.sqrt(error / count), Math.sqrt(power / count), "all channels");
  }

  /**
   * Of ordinary numbers besides: every other channel too, compared with how far its numbers are spread. A channel that
   * stands far out hides in the error of all what becomes of its neighbours.
   */
  void requireChannels() {
    double[] relative = new double[shape.channels()];
    for (int channel = 0; channel < relative.length; channel++) {
      double mean = 0;
      for (int token = 0; token < shape.tokens(); token++) {
        mean += was(token, channel) / shape.tokens();
      }
      double error = 0;
      double power = 0;
      for (int token = 0; token < shape.tokens(); token++) {
        long at = (long) token * relative.length + channel;
        error += square(was(token, channel) - KvSamples.get(shape, decoded, at));
        power += square(was(token, channel) - mean);
      }
      relative[channel] = Math.sqrt(error / power);
    }
    Arrays.sort(relative);
    requireClose(relative[relative.length / 2], 1, "half of the channels");
  }

  private double was(int token, int channel) {
    return KvSamples.get(shape, source, (long) token * shape.channels() + channel);
  }

  private void requireClose(double error, double scale, String what) {
    assertTrue(error <= most() * scale + TINY, () -> codec.name() + " is off by " + error + " of " + scale
        + " in " + what + ", may be by " + most() + ", " + shape);
  }

  private static double square(double value) {
    return value * value;
  }
}
