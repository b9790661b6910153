package io.kvcache.internal.frame;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.util.zip.CRC32C;

/** CRC32C over memory segments, alone and together with a copy. */
public final class Checksums {
  /**
   * Bytes copied, then checked, at a time: the second pass finds them in the core's cache. 32 to 256 KiB are alike;
   * the other order, check and then copy, takes about a tenth longer (docs/BENCHMARKS.md).
   */
  private static final int BLOCK_BYTES = 64 * 1024;

  /** Most bytes one ByteBuffer spans. */
  private static final int STRIDE_BYTES = 1 << 30;

  private Checksums() {}

  /** CRC32C of {@code bytes}. */
  public static int crc(MemorySegment bytes) {
    CRC32C crc = new CRC32C();
    if (!buffered(bytes)) {
      byte[] block = new byte[(int) Math.min(BLOCK_BYTES, bytes.byteSize())];
      for (long at = 0; at < bytes.byteSize(); at += block.length) {
        int length = (int) Math.min(block.length, bytes.byteSize() - at);
        MemorySegment.copy(bytes, ValueLayout.JAVA_BYTE, at, block, 0, length);
        crc.update(block, 0, length);
      }
      return (int) crc.getValue();
    }
    for (long at = 0; at < bytes.byteSize(); at += STRIDE_BYTES) {
      crc.update(bytes.asSlice(at, Math.min(STRIDE_BYTES, bytes.byteSize() - at)).asByteBuffer());
    }
    return (int) crc.getValue();
  }

  /**
   * Copies {@code source} to the start of {@code target}; returns the CRC32C of both. It is taken of the copy, so
   * that it speaks of the very bytes that are given away, unless no buffer can be had of that.
   */
  public static int copy(MemorySegment source, MemorySegment target) {
    MemorySegment checked = buffered(target) ? target : source;
    if (!buffered(checked)) {
      target.copyFrom(source);
      return crc(source);
    }
    CRC32C crc = new CRC32C();
    long size = source.byteSize();
    for (long stride = 0; stride < size; stride += STRIDE_BYTES) {
      int length = (int) Math.min(STRIDE_BYTES, size - stride);
      ByteBuffer window = checked.asSlice(stride, length).asByteBuffer();
      for (int at = 0; at < length; at += BLOCK_BYTES) {
        int block = Math.min(BLOCK_BYTES, length - at);
        MemorySegment.copy(source, stride + at, target, stride + at, block);
        crc.update(window.limit(at + block).position(at));
      }
    }
    return (int) crc.getValue();
  }

  /** Of heap arrays only {@code byte[]} gives a buffer, and that only where it may be written. */
  private static boolean buffered(MemorySegment segment) {
    return segment.isNative() || segment.heapBase().filter(array -> array instanceof byte[]).isPresent();
  }
}
