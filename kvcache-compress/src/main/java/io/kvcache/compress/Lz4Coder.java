package io.kvcache.compress;

import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.MemorySegment;
import net.jpountz.lz4.LZ4Compressor;
import net.jpountz.lz4.LZ4Exception;
import net.jpountz.lz4.LZ4Factory;
import net.jpountz.lz4.LZ4SafeDecompressor;

/**
 * LZ4 blocks. On arrays: the bytes come through the cache on their way in anyhow, any kind of segment will do,
 * and no buffer object is made per call.
 */
final class Lz4Coder implements PlaneCoder {
  /** Loads LZ4, with native code where the JVM and the platform allow it, when first used. */
  private static final class Native {
    static final LZ4Factory FACTORY = LZ4Factory.fastestInstance();
  }

  private final LZ4Compressor compressor;
  private final LZ4SafeDecompressor decompressor;

  Lz4Coder() {
    this(Native.FACTORY);
  }

  Lz4Coder(LZ4Factory factory) {
    compressor = factory.fastCompressor();
    decompressor = factory.safeDecompressor();
  }

  @Override
  public String name() {
    return "lz4";
  }

  @Override
  public byte coding() {
    return 1;
  }

  @Override
  public int encode(byte[] plane, int n, int most, PlaneBuffers buffers, MemorySegment target, long at) {
    byte[] coded = buffers.coded(compressor.maxCompressedLength(n));
    int length = compressor.compress(plane, 0, n, coded, 0, coded.length);
    if (length > most) {
      return 0;
    }
    MemorySegment.copy(coded, 0, target, Segments.BYTE, at, length);
    return length;
  }

  @Override
  public void decode(MemorySegment stored, long from, int length, byte[] plane, int n, PlaneBuffers buffers)
      throws MalformedDataException {
    byte[] coded = buffers.coded(length);
    MemorySegment.copy(stored, Segments.BYTE, from, coded, 0, length);
    int expanded;
    try {
      expanded = decompressor.decompress(coded, 0, length, plane, 0, n);
    } catch (LZ4Exception e) {
      throw new MalformedDataException("not an LZ4 block of " + n + " bytes: " + e.getMessage());
    }
    if (expanded != n) {
      throw new MalformedDataException("an LZ4 block has " + expanded + " bytes, must have " + n);
    }
  }
}
