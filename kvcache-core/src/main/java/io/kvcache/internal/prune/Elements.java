package io.kvcache.internal.prune;

import io.kvcache.DType;
import io.kvcache.KvShape;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/**
 * Reads KV as floats, a block at a time: bytes are copied out in bulk and widened in loops over arrays, which the JIT
 * compiler vectorises; it would not for single elements of a segment. Holds a block; one thread.
 */
public final class Elements {
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final float[] E4M3 = e4m3();

  private final DType dtype;
  private short[] shorts = {};
  private byte[] bytes = {};

  /** A reader of elements of this type. */
  public Elements(DType dtype) {
    if (!readable(dtype)) {
      throw new IllegalArgumentException("elements of " + dtype + " are not numbers to the cache");
    }
    this.dtype = dtype;
  }

  /** Whether elements of this type are numbers. */
  public static boolean readable(DType dtype) {
    return dtype != DType.OPAQUE;
  }

  /** All elements of a half, in their order. */
  public static float[] all(KvShape shape, MemorySegment half) {
    float[] elements = new float[Math.toIntExact(shape.elements())];
    new Elements(shape.dtype()).read(half, 0, elements.length, elements);
    return elements;
  }

  /** Widens {@code count} elements from the element {@code first} on into {@code out[0]} and following. */
  public void read(MemorySegment source, long first, int count, float[] out) {
    switch (dtype) {
      case F32 -> MemorySegment.copy(source, FLOAT, first * Float.BYTES, out, 0, count);
      case BF16 -> widenBf16(shorts(source, first, count), out, count);
      case F16 -> widenF16(shorts(source, first, count), out, count);
      case FP8 -> widenFp8(bytes(source, first, count), out, count);
      case OPAQUE -> throw new AssertionError(dtype);
    }
  }

  private short[] shorts(MemorySegment source, long first, int count) {
    if (shorts.length < count) {
      shorts = new short[count];
    }
    MemorySegment.copy(source, SHORT, first * Short.BYTES, shorts, 0, count);
    return shorts;
  }

  private byte[] bytes(MemorySegment source, long first, int count) {
    if (bytes.length < count) {
      bytes = new byte[count];
    }
    MemorySegment.copy(source, ValueLayout.JAVA_BYTE, first, bytes, 0, count);
    return bytes;
  }

  private static void widenBf16(short[] from, float[] to, int count) {
    for (int i = 0; i < count; i++) {
      to[i] = Float.intBitsToFloat(from[i] << 16);
    }
  }

  private static void widenF16(short[] from, float[] to, int count) {
    for (int i = 0; i < count; i++) {
      to[i] = Float.float16ToFloat(from[i]);
    }
  }

  private static void widenFp8(byte[] from, float[] to, int count) {
    for (int i = 0; i < count; i++) {
      to[i] = E4M3[from[i] & 0xff];
    }
  }

  /** OCP E4M3: a sign, four bits of exponent with bias 7, three of mantissa; no infinities, all ones is NaN. */
  private static float[] e4m3() {
    float[] values = new float[256];
    for (int code = 0; code < values.length; code++) {
      int exponent = (code >> 3) & 15;
      int mantissa = code & 7;
      float magnitude = exponent == 0
          ? Math.scalb(mantissa, -9)
          : Math.scalb(8 + mantissa, exponent - 10);
      if ((code & 0x7f) == 0x7f) {
        magnitude = Float.NaN;
      }
      values[code] = code < 128 ? magnitude : -magnitude;
    }
    return values;
  }
}
