package io.kvcache.compress;

import com.github.luben.zstd.Zstd;
import com.github.luben.zstd.ZstdCompressCtx;
import com.github.luben.zstd.ZstdDecompressCtx;
import com.github.luben.zstd.ZstdException;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.MemorySegment;

/**
 * Zstandard frames of level 1, one for each {@value #PIECE} bytes of a plane. On real KV levels 2 and 3 are slower
 * and make more of it: they find more matches, but those of three or four bytes take more room than the
 * entropy-coded literals they replace. Level 9 saves 0 to 4 % of a plane for several times the time, and levels
 * below 1 code no literals.
 *
 * <p>Pieces as short as that come out a few percent smaller than whole planes, since each has a code of its own,
 * and in a tenth less time. Calls are on arrays, which costs no object a call where direct buffers cost several.
 * During such a call the JVM reaches no safepoint; for a piece that is a fifth of a millisecond at most.
 *
 * <p>There is no Zstandard in Java. Where native access is denied nothing here can be made.
 */
final class ZstdCoder implements PlaneCoder {
  private static final int LEVEL = 1;

  /** Bytes of a plane that one frame holds; the last may hold fewer. Part of the format. */
  private static final int PIECE = 1 << 16;
  private static final Pool<Contexts> POOL = new Pool<>(Contexts::new);

  /** Finds out once whether native code can be loaded. */
  private static final class Native {
    static final Throwable TROUBLE = load();

    private static Throwable load() {
      try {
        new Contexts().close();
        return null;
      } catch (LinkageError | RuntimeException e) {
        return e;
      }
    }
  }

  /** Native state, which is costly to make. */
  private static final class Contexts implements AutoCloseable {
    final ZstdCompressCtx compressor = new ZstdCompressCtx().setLevel(LEVEL);
    final ZstdDecompressCtx decompressor = new ZstdDecompressCtx();

    @Override
    public void close() {
      compressor.close();
      decompressor.close();
    }
  }

  /**
   * Loads native code, when first called.
   *
   * @throws IllegalStateException when the JVM or the platform does not allow it
   */
  ZstdCoder() {
    if (!available()) {
      throw new IllegalStateException(
          "zstd needs native code; start the JVM with --enable-native-access=com.github.luben.zstd_jni, "
              + "or ALL-UNNAMED where it is on the class path",
          Native.TROUBLE);
    }
  }

  /** Whether native code can be loaded. */
  static boolean available() {
    return Native.TROUBLE == null;
  }

  @Override
  public String name() {
    return "zstd";
  }

  @Override
  public byte coding() {
    return 3;
  }

  @Override
  public int encode(byte[] plane, int n, int most, PlaneBuffers buffers, MemorySegment target, long at) {
    byte[] coded = buffers.coded((int) Zstd.compressBound(Math.min(n, PIECE)));
    Contexts contexts = POOL.take();
    try {
      int bytes = 0;
      for (int from = 0; from < n; from += PIECE) {
        int length = contexts.compressor.compressByteArray(
            coded, 0, coded.length, plane, from, Math.min(PIECE, n - from));
        if (length > most - bytes - Integer.BYTES) {
          return 0;
        }
        target.set(Segments.INT, at + bytes, length);
        MemorySegment.copy(coded, 0, target, Segments.BYTE, at + bytes + Integer.BYTES, length);
        bytes += Integer.BYTES + length;
      }
      return bytes;
    } finally {
      giveBack(contexts);
    }
  }

  @Override
  public void decode(MemorySegment stored, long from, int length, byte[] plane, int n, PlaneBuffers buffers)
      throws MalformedDataException {
    byte[] coded = buffers.coded(length);
    MemorySegment.copy(stored, Segments.BYTE, from, coded, 0, length);
    Contexts contexts = POOL.take();
    try {
      int at = 0;
      for (int to = 0; to < n; to += PIECE) {
        int present = length - at - Integer.BYTES;
        int frame = present < 0 ? -1 : stored.get(Segments.INT, from + at);
        if (frame < 0 || frame > present) {
          throw new MalformedDataException(
              "a Zstandard frame at " + at + " has " + frame + " bytes, present are " + present);
        }
        expand(contexts.decompressor, coded, at + Integer.BYTES, frame, plane, to, Math.min(PIECE, n - to));
        at += Integer.BYTES + frame;
      }
      if (at != length) {
        throw new MalformedDataException("Zstandard frames have " + at + " bytes, must have " + length);
      }
    } finally {
      giveBack(contexts);
    }
  }

  private static void expand(ZstdDecompressCtx decompressor, byte[] coded, int from, int length, byte[] plane,
      int to, int n) throws MalformedDataException {
    int expanded;
    try {
      expanded = decompressor.decompressByteArray(plane, to, n, coded, from, length);
    } catch (ZstdException e) {
      throw new MalformedDataException("not a Zstandard frame of " + n + " bytes: " + e.getMessage());
    }
    if (expanded != n) {
      throw new MalformedDataException("a Zstandard frame has " + expanded + " bytes, must have " + n);
    }
  }

  private static void giveBack(Contexts contexts) {
    if (!POOL.give(contexts)) {
      contexts.close();
    }
  }
}
