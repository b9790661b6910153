package io.kvcache.compress;

import io.kvcache.Fidelity;
import io.kvcache.KvShape;
import io.kvcache.compress.kernel.ResidualKernels;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.MalformedDataException;
import io.kvcache.spi.ResidualCompressor;
import java.lang.foreign.MemorySegment;

/**
 * Lossless in two steps: a quantized base and what is missing to the exact bits. Together they take more than a
 * lossless encoding alone does, and much less than that and a lossy one side by side.
 *
 * <h2>Format, version 1</h2>
 *
 * <pre>
 * stored   = length of the base: 4 bytes, base, residual          all numbers are little-endian
 * base     = the half as codec 2 (in codec 14) or 3 (in codec 15) stores it, with the same parameter word
 * residual = byte planes of the differences, as codec 4 stores elements
 * difference = (ordered(element) − ordered(element of the decoded base) + bias) modulo 2^16 or 2^32
 * ordered  = the bit pattern, all but its highest bit flipped when that is set, as a signed integer
 * bias     = 0x0080 for 16-bit elements, 0x00808080 for 32-bit ones
 * </pre>
 *
 * <p>The bias keeps the upper planes of small differences 0 on either side. Of bf16 the lower plane then has
 * less than four bits an element over an int8 base, and the upper one next to nothing.
 *
 * <p>Coding the differences in classes by the exponent of the base would save another tenth of the residual, and
 * take two thirds more time to decode; an XOR instead of the difference takes a tenth more.
 */
final class BaseAndResidual implements ResidualCompressor {
  private static final long HEAD_BYTES = 4;

  /** Buffers for larger halves are not kept for the next caller. */
  private static final int KEPT_BYTES = 1 << 22;
  private static final Pool<Buffers> POOL = new Pool<>(Buffers::new);

  /** Working memory: planes, and a base before and after decoding. Segments just as long as decoders want them. */
  private static final class Buffers {
    final PlaneBuffers planes = new PlaneBuffers();
    MemorySegment room = MemorySegment.ofArray(new byte[0]);
    MemorySegment encoded = room;
    MemorySegment decoded = room;

    void fit(KvShape shape, long mostEncoded) {
      planes.fit(shape);
      if (room.byteSize() < mostEncoded) {
        room = MemorySegment.ofArray(new byte[Math.toIntExact(mostEncoded)]);
        encoded = room;
      }
    }

    /** The first {@code bytes} bytes of {@link #room}; most bases of a shape are equally long. */
    MemorySegment encoded(long bytes) {
      if (encoded.byteSize() != bytes) {
        encoded = room.asSlice(0, bytes);
      }
      return encoded;
    }

    MemorySegment decoded(long bytes) {
      if (decoded.byteSize() != bytes) {
        decoded = MemorySegment.ofArray(new byte[Math.toIntExact(bytes)]);
      }
      return decoded;
    }

    boolean worthKeeping() {
      return planes.worthKeeping() && room.byteSize() <= KEPT_BYTES && decoded.byteSize() <= KEPT_BYTES;
    }
  }

  private final int codec;
  private final int bits;
  private final Compressor base;
  private final PlaneFormat format = new PlaneFormat(new ZstdCoder());

  private BaseAndResidual(int codec, int bits, Compressor base) {
    this.codec = codec;
    this.bits = bits;
    this.base = base;
  }

  static BaseAndResidual int8(int group) {
    return new BaseAndResidual(14, 8, GroupQuantizer.int8(group));
  }

  static BaseAndResidual int4(int group) {
    return new BaseAndResidual(15, 4, GroupQuantizer.int4(group));
  }

  @Override
  public int codec() {
    return codec;
  }

  @Override
  public String name() {
    return base.name() + "exact";
  }

  @Override
  public int parameters() {
    return base.parameters();
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
  public Compressor base() {
    return base;
  }

  @Override
  public boolean supports(KvShape shape) {
    return base.supports(shape) && PlaneFormat.supports(shape);
  }

  @Override
  public long maxStoredBytes(KvShape shape) {
    return HEAD_BYTES + base.maxStoredBytes(shape) + PlaneFormat.mostBytes(shape);
  }

  /** The residual has about as many bits an element as the mantissa has, and five, less those of the base. */
  @Override
  public long usualStoredBytes(KvShape shape) {
    int mantissa = switch (shape.dtype()) {
      case BF16 -> 7;
      case F16 -> 10;
      case F32 -> 23;
      case FP8, OPAQUE -> throw Segments.unsupported(name(), shape);
    };
    long residual = PlaneFormat.directoryBytes(shape) + shape.elements() * (mantissa + 5 - bits) / 8;
    return Math.min(HEAD_BYTES + base.usualStoredBytes(shape) + residual, maxStoredBytes(shape));
  }

  @Override
  public long compress(KvShape shape, MemorySegment source, MemorySegment target) {
    requireSupported(shape);
    Segments.requireRoom(shape, source, target, maxStoredBytes(shape));
    Buffers buffers = POOL.take();
    buffers.fit(shape, base.maxStoredBytes(shape));
    long baseBytes = base.compress(shape, source, buffers.room);
    MemorySegment decoded = buffers.decoded(shape.bytes());
    decodeBase(shape, buffers.encoded(baseBytes), decoded);
    target.set(Segments.INT, 0, (int) baseBytes);
    MemorySegment.copy(buffers.room, 0, target, HEAD_BYTES, baseBytes);
    split(shape, source, decoded, buffers.planes);
    long end = format.write(shape, buffers.planes, target, HEAD_BYTES + baseBytes);
    giveBack(buffers);
    return end;
  }

  private void decodeBase(KvShape shape, MemorySegment encoded, MemorySegment decoded) {
    try {
      base.decompress(shape, base.parameters(), encoded, decoded);
    } catch (MalformedDataException e) {
      throw new AssertionError(base.name() + " cannot read what it wrote", e);
    }
  }

  @Override
  public void decompress(KvShape shape, int parameters, MemorySegment stored, MemorySegment target)
      throws MalformedDataException {
    requireSupported(shape);
    Segments.requireBytes("target", target, shape.bytes());
    long baseBytes = baseBytes(stored);
    format.requireLength(shape, stored, HEAD_BYTES + baseBytes);
    Buffers buffers = POOL.take();
    buffers.fit(shape, baseBytes);
    MemorySegment encoded = buffers.encoded(baseBytes); // a copy is cheaper than it looks, and a view is an object
    MemorySegment.copy(stored, HEAD_BYTES, encoded, 0, baseBytes);
    base.decompress(shape, parameters, encoded, target);
    format.read(shape, stored, HEAD_BYTES + baseBytes, buffers.planes);
    join(shape, buffers.planes, target);
    giveBack(buffers);
  }

  @Override
  public MemorySegment baseOf(MemorySegment stored) throws MalformedDataException {
    return stored.asSlice(HEAD_BYTES, baseBytes(stored));
  }

  @Override
  public MemorySegment residualOf(MemorySegment stored) throws MalformedDataException {
    return stored.asSlice(HEAD_BYTES + baseBytes(stored));
  }

  @Override
  public void restore(KvShape shape, MemorySegment residual, MemorySegment target)
      throws MalformedDataException {
    requireSupported(shape);
    Segments.requireBytes("target", target, shape.bytes());
    format.requireLength(shape, residual, 0);
    Buffers buffers = POOL.take();
    buffers.fit(shape, 0);
    format.read(shape, residual, 0, buffers.planes);
    join(shape, buffers.planes, target);
    giveBack(buffers);
  }

  private static long baseBytes(MemorySegment stored) throws MalformedDataException {
    long present = stored.byteSize() - HEAD_BYTES;
    long bytes = present < 0 ? -1 : stored.get(Segments.INT, 0);
    if (bytes < 0 || bytes > present) {
      throw new MalformedDataException("the base has " + bytes + " bytes, present are " + present);
    }
    return bytes;
  }

  private static void split(KvShape shape, MemorySegment source, MemorySegment base, PlaneBuffers buffers) {
    int n = (int) shape.elements();
    int width = shape.dtype().bytes();
    for (int at = 0; at < n; at += PlaneBuffers.TILE) {
      int count = Math.min(PlaneBuffers.TILE, n - at);
      int bytes = width * count;
      PlaneBuffers.read(source, (long) width * at, bytes, buffers.words);
      PlaneBuffers.read(base, (long) width * at, bytes, buffers.others);
      ResidualKernels.difference(buffers.words, buffers.others, 8 * width, (bytes + 7) / 8);
      buffers.split(width, at, count);
    }
  }

  private static void join(KvShape shape, PlaneBuffers buffers, MemorySegment target) {
    int n = (int) shape.elements();
    int width = shape.dtype().bytes();
    for (int at = 0; at < n; at += PlaneBuffers.TILE) {
      int count = Math.min(PlaneBuffers.TILE, n - at);
      int bytes = width * count;
      buffers.join(width, at, count);
      PlaneBuffers.read(target, (long) width * at, bytes, buffers.others);
      ResidualKernels.restore(buffers.words, buffers.others, 8 * width, (bytes + 7) / 8);
      buffers.write(target, (long) width * at, bytes);
    }
  }

  private void requireSupported(KvShape shape) {
    if (!supports(shape)) {
      throw Segments.unsupported(name(), shape);
    }
  }

  /** Not called on a throw: buffers are then left to the collector. */
  private static void giveBack(Buffers buffers) {
    if (buffers.worthKeeping()) {
      POOL.give(buffers);
    }
  }
}
