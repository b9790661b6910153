package io.kvcache.compress;

import io.kvcache.KvShape;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/** Little-endian access at any alignment, and the argument checks that all codecs share. */
final class Segments {
  static final ValueLayout.OfByte BYTE = ValueLayout.JAVA_BYTE;
  static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private Segments() {}

  /** Checks what a caller of {@code compress} hands over. */
  static void requireRoom(KvShape shape, MemorySegment source, MemorySegment target, long maxStoredBytes) {
    requireBytes("source", source, shape.bytes());
    if (target.byteSize() < maxStoredBytes) {
      throw new IllegalArgumentException(
          "target has " + target.byteSize() + " bytes, must have at least " + maxStoredBytes);
    }
  }

  /** Checks that {@code segment} has exactly {@code bytes} bytes. */
  static void requireBytes(String name, MemorySegment segment, long bytes) {
    if (segment.byteSize() != bytes) {
      throw new IllegalArgumentException(name + " has " + segment.byteSize() + " bytes, must have " + bytes);
    }
  }

  /** The refusal of a shape that {@code supports} answers false to. */
  static IllegalArgumentException unsupported(String codec, KvShape shape) {
    return new IllegalArgumentException(codec + " does not support " + shape);
  }
}
