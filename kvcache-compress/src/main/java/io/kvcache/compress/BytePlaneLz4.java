package io.kvcache.compress;

import io.kvcache.DType;
import io.kvcache.Fidelity;
import io.kvcache.KvHalf;
import io.kvcache.KvShape;
import io.kvcache.compress.kernel.PlaneKernels;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.MemorySegment;
import net.jpountz.lz4.LZ4Compressor;
import net.jpountz.lz4.LZ4Exception;
import net.jpountz.lz4.LZ4Factory;
import net.jpountz.lz4.LZ4SafeDecompressor;

/**
 * Lossless: planes of equally significant bytes, each an LZ4 block where that saves a 16th or more. The plane
 * with sign and exponent compresses, the mantissas barely.
 *
 * <h2>Format, version 1</h2>
 *
 * <p>A half of {@code n = tokens · kvHeads · dim} elements has as many planes as an element has bytes; plane
 * {@code p} holds byte {@code p} of every element, the least significant first. All numbers are
 * little-endian.
 *
 * <pre>
 * stored    = directory[planes] body[planes]
 * directory = coding: 1 byte, length of the body: 4 bytes, unsigned
 * body      = coding 0: the n bytes of the plane, in the order of the elements
 *             coding 1: one LZ4 block that decodes to just that
 *             coding 2: one LZ4 block that decodes to the n bytes by channel, then by token
 * </pre>
 *
 * <p>The encoder turns planes of keys (coding 2), those of OPAQUE apart, and leaves values in their order
 * (coding 1): a key's channel keeps its sign and magnitude from token to token. On real keys the upper plane
 * shrinks to 0.60 instead of 0.75 of its size, while values lose (0.76 instead of 0.67). Moving the sign out
 * of the upper byte, so that it holds all of the exponent, helps an entropy coder but not LZ4, which has
 * none: fewer different bytes repeat sooner (0.60 against 0.71).
 *
 * <p>LZ4 works on arrays: the bytes come through the cache on their way in anyhow, any kind of segment will
 * do, and no buffer object is made per call.
 */
final class BytePlaneLz4 implements Compressor {
  private static final byte RAW = 0;
  private static final byte LZ4 = 1;
  private static final byte LZ4_TURNED = 2;
  private static final int ENTRY_BYTES = 5;
  private static final int MOST_BYTES = 1 << 30;
  private static final Pool<PlaneBuffers> POOL = new Pool<>(PlaneBuffers::new);

  /** Loads LZ4, with native code where the JVM and the platform allow it, when first used. */
  private static final class Native {
    static final LZ4Factory FACTORY = LZ4Factory.fastestInstance();
  }

  private final LZ4Compressor compressor;
  private final LZ4SafeDecompressor decompressor;

  BytePlaneLz4() {
    this(Native.FACTORY);
  }

  BytePlaneLz4(LZ4Factory factory) {
    compressor = factory.fastCompressor();
    decompressor = factory.safeDecompressor();
  }

  @Override
  public int codec() {
    return 1;
  }

  @Override
  public String name() {
    return "lz4";
  }

  @Override
  public int parameters() {
    return 0;
  }

  @Override
  public Fidelity fidelity() {
    return Fidelity.EXACT;
  }

  @Override
  public double nominalQuality() {
    return 1;
  }

  @Override
  public boolean supports(KvShape shape) {
    return shape.bytes() <= MOST_BYTES;
  }

  @Override
  public long maxStoredBytes(KvShape shape) {
    return ENTRY_BYTES * shape.dtype().bytes() + shape.bytes();
  }

  @Override
  public long compress(KvShape shape, MemorySegment source, MemorySegment target) {
    requireSupported(shape);
    Segments.requireRoom(shape, source, target, maxStoredBytes(shape));
    int n = (int) shape.elements();
    int planes = shape.dtype().bytes();
    PlaneBuffers buffers = POOL.take();
    buffers.fit(planes, n, compressor.maxCompressedLength(n));
    split(shape.dtype(), source, buffers, n);
    long to = (long) ENTRY_BYTES * planes;
    for (int plane = 0; plane < planes; plane++) {
      to += encodePlane(shape, plane, buffers, target, to);
    }
    giveBack(buffers);
    return to;
  }

  private int encodePlane(KvShape shape, int plane, PlaneBuffers buffers, MemorySegment target, long to) {
    int n = (int) shape.elements();
    byte[] bytes = buffers.planes[plane];
    byte coding = LZ4;
    if (shape.half() == KvHalf.KEYS && shape.dtype() != DType.OPAQUE) {
      coding = LZ4_TURNED;
      PlaneKernels.transpose(bytes, shape.tokens(), shape.channels(), buffers.turned);
    }
    int length = compressor.compress(
        coding == LZ4 ? bytes : buffers.turned, 0, n, buffers.coded, 0, buffers.coded.length);
    byte[] body = buffers.coded;
    if (length > n - n / 16) {
      coding = RAW;
      length = n;
      body = bytes;
    }
    target.set(Segments.BYTE, (long) ENTRY_BYTES * plane, coding);
    target.set(Segments.INT, (long) ENTRY_BYTES * plane + 1, length);
    MemorySegment.copy(body, 0, target, Segments.BYTE, to, length);
    return length;
  }

  @Override
  public void decompress(KvShape shape, int parameters, MemorySegment stored, MemorySegment target)
      throws MalformedDataException {
    requireSupported(shape);
    Segments.requireBytes("target", target, shape.bytes());
    if (parameters != 0) {
      throw new MalformedDataException("parameters are " + parameters + ", must be 0");
    }
    requireLength(shape, stored);
    int n = (int) shape.elements();
    int planes = shape.dtype().bytes();
    PlaneBuffers buffers = POOL.take();
    buffers.fit(planes, n, n);
    long from = (long) ENTRY_BYTES * planes;
    for (int plane = 0; plane < planes; plane++) {
      byte coding = stored.get(Segments.BYTE, (long) ENTRY_BYTES * plane);
      int length = stored.get(Segments.INT, (long) ENTRY_BYTES * plane + 1);
      decodePlane(shape, coding, stored, from, length, buffers, buffers.planes[plane]);
      from += length;
    }
    join(shape.dtype(), buffers, target, n);
    giveBack(buffers);
  }

  /** Checks the directory against itself and the bytes present before anything else is read. */
  private static void requireLength(KvShape shape, MemorySegment stored) throws MalformedDataException {
    int planes = shape.dtype().bytes();
    long expected = (long) ENTRY_BYTES * planes;
    if (stored.byteSize() < expected) {
      throw new MalformedDataException(
          "stored has " + stored.byteSize() + " bytes, its directory alone " + expected);
    }
    for (int plane = 0; plane < planes; plane++) {
      byte coding = stored.get(Segments.BYTE, (long) ENTRY_BYTES * plane);
      long length = stored.get(Segments.INT, (long) ENTRY_BYTES * plane + 1) & 0xffffffffL;
      boolean valid = coding == RAW
          ? length == shape.elements()
          : (coding == LZ4 || coding == LZ4_TURNED) && length <= shape.elements();
      if (!valid) {
        throw new MalformedDataException(
            "plane " + plane + " has coding " + coding + " and length " + length + ", elements "
                + shape.elements());
      }
      expected += length;
    }
    if (stored.byteSize() != expected) {
      throw new MalformedDataException(
          "stored has " + stored.byteSize() + " bytes, its directory says " + expected);
    }
  }

  private void decodePlane(KvShape shape, byte coding, MemorySegment stored, long from, int length,
      PlaneBuffers buffers, byte[] plane) throws MalformedDataException {
    int n = (int) shape.elements();
    if (coding == RAW) {
      MemorySegment.copy(stored, Segments.BYTE, from, plane, 0, n);
      return;
    }
    MemorySegment.copy(stored, Segments.BYTE, from, buffers.coded, 0, length);
    expand(buffers.coded, length, coding == LZ4 ? plane : buffers.turned, n);
    if (coding == LZ4_TURNED) {
      PlaneKernels.transpose(buffers.turned, shape.channels(), shape.tokens(), plane);
    }
  }

  private void expand(byte[] coded, int length, byte[] plane, int n) throws MalformedDataException {
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

  private static void split(DType dtype, MemorySegment source, PlaneBuffers buffers, int n) {
    byte[][] planes = buffers.planes;
    if (dtype.bytes() == 1) {
      MemorySegment.copy(source, Segments.BYTE, 0, planes[0], 0, n);
      return;
    }
    for (int at = 0; at < n; at += PlaneBuffers.TILE) {
      int count = Math.min(PlaneBuffers.TILE, n - at);
      if (dtype.bytes() == 2) {
        buffers.readWords(source, 2L * at, count);
        PlaneKernels.split16(buffers.words, planes[0], planes[1], at, count);
      } else {
        MemorySegment.copy(source, Segments.INT, 4L * at, buffers.elements, 0, count);
        PlaneKernels.split32(buffers.elements, planes, at, count);
      }
    }
  }

  private static void join(DType dtype, PlaneBuffers buffers, MemorySegment target, int n) {
    byte[][] planes = buffers.planes;
    if (dtype.bytes() == 1) {
      MemorySegment.copy(planes[0], 0, target, Segments.BYTE, 0, n);
      return;
    }
    for (int at = 0; at < n; at += PlaneBuffers.TILE) {
      int count = Math.min(PlaneBuffers.TILE, n - at);
      if (dtype.bytes() == 2) {
        PlaneKernels.join16(planes[0], planes[1], at, buffers.words, count);
        buffers.writeWords(target, 2L * at, count);
      } else {
        PlaneKernels.join32(planes, at, buffers.elements, count);
        MemorySegment.copy(buffers.elements, 0, target, Segments.INT, 4L * at, count);
      }
    }
  }

  private static void requireSupported(KvShape shape) {
    if (shape.bytes() > MOST_BYTES) {
      throw Segments.unsupported("lz4", shape);
    }
  }

  /** Not called on a throw: buffers are then left to the collector. */
  private static void giveBack(PlaneBuffers buffers) {
    if (buffers.worthKeeping()) {
      POOL.give(buffers);
    }
  }
}
