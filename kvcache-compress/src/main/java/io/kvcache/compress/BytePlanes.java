package io.kvcache.compress;

import io.kvcache.Fidelity;
import io.kvcache.KvShape;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.MemorySegment;
import net.jpountz.lz4.LZ4Factory;

/**
 * Lossless: planes of equally significant bytes, each coded where that saves a 16th or more. The plane with
 * sign and exponent compresses, the mantissas barely.
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
 *             coding 1: one LZ4 block that decodes to just that; codec 1 only
 *             coding 2: one LZ4 block that decodes to the n bytes by channel, then by token; codec 1 only
 *             coding 3: pieces that together decode to what 1 decodes to; codec 4 only
 *             coding 4: pieces that together decode to what 2 decodes to; codec 4 only
 * piece     = length of the frame: 4 bytes, a Zstandard frame (RFC 8878) without dictionary
 * </pre>
 *
 * <p>Each piece holds 65,536 bytes of the plane, the last the rest.
 *
 * <p>The encoder turns planes of keys (codings 2 and 4), those of OPAQUE apart, and leaves values in their
 * order: a key's channel keeps its sign and magnitude from token to token, and values repeat where tokens do.
 * On KV of two models that makes LZ4's upper plane of keys 0.59 to 0.70 instead of 0.70 to 0.75 of its size,
 * and Zstandard's 0.32 to 0.37 instead of 0.36 to 0.40, while values would lose.
 *
 * <p>What was tried and does not pay: differences and XOR to the token before, or to one token or the most
 * frequent byte of a channel (the turned order gives what they would, and more), and moving the sign out of
 * the upper byte. {@code ARCHITECTURE.md} has the figures.
 */
final class BytePlanes implements Compressor {
  private static final Pool<PlaneBuffers> POOL = new Pool<>(PlaneBuffers::new);

  private final int codec;
  private final PlaneFormat format;

  private BytePlanes(int codec, PlaneCoder coder) {
    this.codec = codec;
    format = new PlaneFormat(coder);
  }

  static BytePlanes lz4() {
    return new BytePlanes(1, new Lz4Coder());
  }

  static BytePlanes lz4(LZ4Factory factory) {
    return new BytePlanes(1, new Lz4Coder(factory));
  }

  static BytePlanes zstd() {
    return new BytePlanes(4, new ZstdCoder());
  }

  @Override
  public int codec() {
    return codec;
  }

  @Override
  public String name() {
    return format.coderName();
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
    return PlaneFormat.supports(shape);
  }

  @Override
  public long maxStoredBytes(KvShape shape) {
    return PlaneFormat.mostBytes(shape);
  }

  @Override
  public long compress(KvShape shape, MemorySegment source, MemorySegment target) {
    requireSupported(shape);
    Segments.requireRoom(shape, source, target, maxStoredBytes(shape));
    PlaneBuffers buffers = POOL.take();
    buffers.fit(shape);
    split(shape, source, buffers);
    long bytes = format.write(shape, buffers, target, 0);
    giveBack(buffers);
    return bytes;
  }

  @Override
  public void decompress(KvShape shape, int parameters, MemorySegment stored, MemorySegment target)
      throws MalformedDataException {
    requireSupported(shape);
    Segments.requireBytes("target", target, shape.bytes());
    if (parameters != 0) {
      throw new MalformedDataException("parameters are " + parameters + ", must be 0");
    }
    format.requireLength(shape, stored, 0);
    PlaneBuffers buffers = POOL.take();
    buffers.fit(shape);
    format.read(shape, stored, 0, buffers);
    join(shape, buffers, target);
    giveBack(buffers);
  }

  private static void split(KvShape shape, MemorySegment source, PlaneBuffers buffers) {
    int n = (int) shape.elements();
    int width = shape.dtype().bytes();
    if (width == 1) {
      MemorySegment.copy(source, Segments.BYTE, 0, buffers.planes[0], 0, n);
      return;
    }
    for (int at = 0; at < n; at += PlaneBuffers.TILE) {
      int count = Math.min(PlaneBuffers.TILE, n - at);
      PlaneBuffers.read(source, (long) width * at, width * count, buffers.words);
      buffers.split(width, at, count);
    }
  }

  private static void join(KvShape shape, PlaneBuffers buffers, MemorySegment target) {
    int n = (int) shape.elements();
    int width = shape.dtype().bytes();
    if (width == 1) {
      MemorySegment.copy(buffers.planes[0], 0, target, Segments.BYTE, 0, n);
      return;
    }
    for (int at = 0; at < n; at += PlaneBuffers.TILE) {
      int count = Math.min(PlaneBuffers.TILE, n - at);
      buffers.join(width, at, count);
      buffers.write(target, (long) width * at, width * count);
    }
  }

  private void requireSupported(KvShape shape) {
    if (!supports(shape)) {
      throw Segments.unsupported(name(), shape);
    }
  }

  /** Not called on a throw: buffers are then left to the collector. */
  private static void giveBack(PlaneBuffers buffers) {
    if (buffers.worthKeeping()) {
      POOL.give(buffers);
    }
  }
}
