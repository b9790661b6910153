package io.kvcache.testkit;

import io.kvcache.KvHalf;
import io.kvcache.KvShape;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.SplittableRandom;

/** Halves to encode: ordinary ones, and the numbers that break careless codecs. */
public enum KvSamples {
  /**
   * Gaussian channels of different spread; every 16th channel of keys sits far from zero, as in real models.
   */
  REALISTIC,
  /** Every element the same. */
  EQUAL,
  /** Zeros of both signs and denormals. */
  TINY,
  /** Finite numbers from the whole range of the type. */
  HUGE,
  /** Realistic, with a NaN or an infinity here and there. */
  NOT_FINITE,
  /** Random bytes: for element types that are numbers, every kind of bit pattern. */
  NOISE;

  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /** A half of this kind on the heap; the same for the same seed. */
  public MemorySegment fill(KvShape shape, long seed) {
    MemorySegment half = MemorySegment.ofArray(new byte[Math.toIntExact(shape.bytes())]);
    SplittableRandom random = new SplittableRandom(seed);
    float[] spread = new float[shape.channels()];
    float[] middle = new float[shape.channels()];
    for (int channel = 0; channel < spread.length; channel++) {
      spread[channel] = (float) Math.exp(0.5 * random.nextGaussian());
      boolean outlier = shape.half() == KvHalf.KEYS && channel % 16 == 3;
      middle[channel] = outlier ? 20f * spread[channel] : 0;
    }
    for (long i = 0; i < shape.elements(); i++) {
      int channel = (int) (i % shape.channels());
      switch (this) {
        case EQUAL -> set(shape, half, i, -1.625f);
        case TINY ->
            setBits(shape, half, i, random.nextInt(3) == 0 ? random.nextInt(64) : 0, random.nextBoolean());
        case HUGE -> setBits(shape, half, i, random.nextInt(infinityBits(shape)), random.nextBoolean());
        case NOISE -> setBits(shape, half, i, random.nextInt(), random.nextBoolean());
        case REALISTIC ->
            set(shape, half, i, (float) (random.nextGaussian() * spread[channel] + middle[channel]));
        case NOT_FINITE -> {
          float[] odd = {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY};
          boolean pick = random.nextInt(500) == 0;
          set(shape, half, i, pick ? odd[random.nextInt(3)] : (float) random.nextGaussian());
        }
      }
    }
    return half;
  }

  /** An element as a number; the bits of it where the type is not one that Java converts. */
  public static float get(KvShape shape, MemorySegment half, long element) {
    return switch (shape.dtype()) {
      case BF16 -> Float.intBitsToFloat(half.get(SHORT, 2 * element) << 16);
      case F16 -> Float.float16ToFloat(half.get(SHORT, 2 * element));
      case F32 -> Float.intBitsToFloat(half.get(INT, 4 * element));
      case FP8, OPAQUE -> half.get(ValueLayout.JAVA_BYTE, element);
    };
  }

  /** Stores a number, rounded to the shape's type. */
  public static void set(KvShape shape, MemorySegment half, long element, float value) {
    switch (shape.dtype()) {
      case BF16 -> half.set(SHORT, 2 * element, toBf16(value));
      case F16 -> half.set(SHORT, 2 * element, Float.floatToFloat16(value));
      case F32 -> half.set(INT, 4 * element, Float.floatToRawIntBits(value));
      case FP8, OPAQUE -> half.set(ValueLayout.JAVA_BYTE, element, (byte) Math.round(16 * value));
    }
  }

  /** Rounds to bf16, half to even. */
  public static short toBf16(float value) {
    int bits = Float.floatToRawIntBits(value);
    if (Float.isNaN(value)) {
      return (short) (bits >>> 16 | 0x40);
    }
    return (short) ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16);
  }

  private static int infinityBits(KvShape shape) {
    return switch (shape.dtype()) {
      case BF16 -> 0x7f80;
      case F16 -> 0x7c00;
      case F32 -> 0x7f800000;
      case FP8, OPAQUE -> 0x7f;
    };
  }

  private static void setBits(KvShape shape, MemorySegment half, long element, int bits, boolean negative) {
    switch (shape.dtype()) {
      case BF16, F16 -> half.set(SHORT, 2 * element, (short) (negative ? bits | 0x8000 : bits));
      case F32 -> half.set(INT, 4 * element, negative ? bits | 0x80000000 : bits);
      case FP8, OPAQUE -> half.set(ValueLayout.JAVA_BYTE, element, (byte) (negative ? bits | 0x80 : bits));
    }
  }
}
