package io.kvcache.internal.frame;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.zip.CRC32C;

/** CRC32C over memory segments, alone and together with a copy. */
public final class Checksums {
  /**
   * Bytes checked, then copied, at a time: the second pass finds them in the core's cache. 32 to 256 KiB measured
   * alike; larger blocks lose the effect.
   */
  private static final int BLOCK_BYTES = 128 * 1024;

  /** Most bytes one ByteBuffer spans. */
  private static final int STRIDE_BYTES = 1 << 30;

  private Checksums() {}

  /** CRC32C of {@code bytes}. */
  public static int crc(MemorySegment bytes) {
    CRC32C crc = new CRC32C();
    for (long at = 0; at < bytes.byteSize(); at += STRIDE_BYTES) {
      crc.update(bytes.asSlice(at, Math.min(STRIDE_BYTES, bytes.byteSize() - at)).asByteBuffer());
    }
    return (int) crc.getValue();
  }

  /** Copies {@code source} to the start of {@code target}; returns the CRC32C of both. */
  public static int copy(MemorySegment source, MemorySegment target) {
    CRC32C crc = new CRC32C();
    long size = source.byteSize();
    // Arrays other than byte[] give no buffer: of those the copy is checked.
    boolean before = source.isNative() || !target.isNative();
    MemorySegment checked = before ? source : target;
    for (long stride = 0; stride < size; stride += STRIDE_BYTES) {
      int length = (int) Math.min(STRIDE_BYTES, size - stride);
      ByteBuffer window = checked.asSlice(stride, length).asByteBuffer();
      for (int at = 0; at < length; at += BLOCK_BYTES) {
        int block = Math.min(BLOCK_BYTES, length - at);
        window.limit(at + block).position(at);
        if (before) {
          crc.update(window);
        }
        MemorySegment.copy(source, stride + at, target, stride + at, block);
        if (!before) {
          crc.update(window);
        }
      }
    }
    return (int) crc.getValue();
  }
}
