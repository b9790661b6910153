package io.kvcache.compress;

import io.kvcache.DType;
import io.kvcache.Fidelity;
import io.kvcache.KvShape;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.MemorySegment;

/**
 * Asymmetric quantization to 8, 4 or 2 bits by groups, in the form of KIVI (Liu et al., ICML 2024): a key's
 * outliers sit in fixed channels, so keys share a scale per channel over a group of tokens, and values per
 * token over a group of channels. KIVI's uncompressed residual of recent tokens has no counterpart here: only
 * full chunks are stored, and the engine holds what follows them.
 *
 * <h2>Format, version 1</h2>
 *
 * <p>{@code G} is the parameter word, 32 or 64; {@code C = kvHeads · dim} the channels of a row. The tokens
 * are cut into <em>blocks</em> of {@code G}; the last may be shorter. All numbers are little-endian.
 *
 * <pre>
 * stored    = mode[blocks] block[blocks]           mode: one byte a block, 0 quantized, 1 raw
 * raw       = the block's rows as they were
 * quantized = scale[S] zero[S] codes[rows]         scale, zero: binary16
 * keys      : S = C, one for each channel, in strand order
 * values    : S = rows · ⌈C/G⌉, by row, then by group of G neighbouring channels (the last may be smaller)
 * codes     : a row's codes in strand order; int8 one byte each, signed, code − 128;
 *             int4 ⌈C/2⌉ bytes, byte i = first[i] | second[i] · 16;
 *             int2 Q = ⌈⌈C/2⌉/2⌉ bytes, byte i = first[i] | first[Q + i] · 4 | second[i] · 16 | second[Q + i] · 64;
 *             unused bits are 0, and ignored
 * </pre>
 *
 * <p><em>Strand order</em> is the first strand, then the second. Of BF16 rows they are the even channels
 * (⌈C/2⌉ of them), then the odd ones: two neighbours, decoded from places that are each contiguous, make one
 * 32-bit word of output, which plain array loops can do at memory speed. Of F16 and F32 rows they are the
 * lower ⌈C/2⌉ channels and the rest, which is the natural order.
 *
 * <p>Decoding: {@code value = offset + stored code · scale}, with {@code offset = zero + 128 · scale} for
 * int8 and {@code zero} for int4 and int2; every operation rounded to binary32, none fused; then rounded to the element
 * type, half to even. A scale must be finite and not negative, not −0 either; a zero finite.
 *
 * <p>Encoding: {@code zero} is the group's least value rounded down to binary16, {@code scale =
 * (greatest − zero) / most} rounded up to binary16, {@code most} 255, 15 or 3; then {@code code =
 * min(⌊(value − zero) · (1 / scale) + ½⌋, most)} with those rounded numbers in binary32, where 1/0 counts as
 * 0. So |error| ≤ scale / 2, plus the roundings of decoding. −0 comes back as +0.
 *
 * <p>A block stays raw when it would not get smaller, or when one of its groups holds NaN, an infinity, or
 * finite values that binary16 cannot cover (least value beyond ±65,504, scale beyond 65,504, or, in F16, a
 * highest code that would decode to infinity): what cannot be approximated comes back exactly.
 */
final class GroupQuantizer implements Compressor {
  private static final byte QUANTIZED = 0;
  private static final byte RAW = 1;
  private static final Pool<GroupBuffers> POOL = new Pool<>(GroupBuffers::new);

  private final int codec;
  private final int bits;
  private final double nominalQuality;
  private final int group;

  private GroupQuantizer(int codec, int bits, double nominalQuality, int group) {
    if (!isGroupSize(group)) {
      throw new IllegalArgumentException("groupSize is " + group + ", must be 32 or 64");
    }
    this.codec = codec;
    this.bits = bits;
    this.nominalQuality = nominalQuality;
    this.group = group;
  }

  // Nominal quality: top-1 agreement with the full cache on stories260K, 200 prompts of 256 to 400 tokens.
  static GroupQuantizer int8(int group) {
    return new GroupQuantizer(2, 8, 0.999, group);
  }

  static GroupQuantizer int4(int group) {
    return new GroupQuantizer(3, 4, 0.989, group);
  }

  static GroupQuantizer int2(int group) {
    return new GroupQuantizer(5, 2, group == 32 ? 0.93 : 0.9, group); // the latter is assumed: coarser, not measured
  }

  private static boolean isGroupSize(int group) {
    return group == 32 || group == 64;
  }

  @Override
  public int codec() {
    return codec;
  }

  @Override
  public String name() {
    return "int" + bits;
  }

  @Override
  public int parameters() {
    return group;
  }

  @Override
  public Fidelity fidelity() {
    return new Fidelity.Quantized(bits);
  }

  @Override
  public double nominalQuality() {
    return nominalQuality;
  }

  @Override
  public boolean supports(KvShape shape) {
    DType dtype = shape.dtype();
    return dtype == DType.BF16 || dtype == DType.F16 || dtype == DType.F32;
  }

  @Override
  public long maxStoredBytes(KvShape shape) {
    return plan(shape, group).blocks() + shape.bytes();
  }

  @Override
  public long usualStoredBytes(KvShape shape) {
    GroupPlan plan = plan(shape, group);
    long bytes = plan.blocks();
    for (int block = 0; block < plan.blocks(); block++) {
      bytes += Math.min(plan.quantizedBytes(plan.rows(block)), plan.rawBytes(plan.rows(block)));
    }
    return bytes;
  }

  @Override
  public long compress(KvShape shape, MemorySegment source, MemorySegment target) {
    GroupPlan plan = plan(shape, group);
    Segments.requireRoom(shape, source, target, maxStoredBytes(shape));
    GroupBuffers buffers = POOL.take();
    buffers.fit(plan);
    GroupEncoder encoder = new GroupEncoder(plan, buffers, source, target);
    long from = 0;
    long to = plan.blocks();
    for (int block = 0; block < plan.blocks(); block++) {
      int rows = plan.rows(block);
      boolean quantized = encoder.encode(from, rows, to);
      if (!quantized) {
        MemorySegment.copy(source, from, target, to, plan.rawBytes(rows));
      }
      target.set(Segments.BYTE, block, quantized ? QUANTIZED : RAW);
      from += plan.rawBytes(rows);
      to += quantized ? plan.quantizedBytes(rows) : plan.rawBytes(rows);
    }
    giveBack(buffers);
    return to;
  }

  @Override
  public void decompress(KvShape shape, int parameters, MemorySegment stored, MemorySegment target)
      throws MalformedDataException {
    if (!isGroupSize(parameters)) {
      throw new MalformedDataException("group size is " + parameters + ", must be 32 or 64");
    }
    GroupPlan plan = plan(shape, parameters);
    Segments.requireBytes("target", target, shape.bytes());
    requireLength(plan, stored);
    GroupBuffers buffers = POOL.take();
    buffers.fit(plan);
    GroupDecoder decoder = new GroupDecoder(plan, buffers, stored, target);
    long from = plan.blocks();
    long to = 0;
    for (int block = 0; block < plan.blocks(); block++) {
      int rows = plan.rows(block);
      if (stored.get(Segments.BYTE, block) == RAW) {
        MemorySegment.copy(stored, from, target, to, plan.rawBytes(rows));
        from += plan.rawBytes(rows);
      } else {
        decoder.decode(from, rows, to);
        from += plan.quantizedBytes(rows);
      }
      to += plan.rawBytes(rows);
    }
    giveBack(buffers);
  }

  /** Adds up what the modes say before anything else is read. */
  private static void requireLength(GroupPlan plan, MemorySegment stored) throws MalformedDataException {
    if (stored.byteSize() < plan.blocks()) {
      throw new MalformedDataException(
          "stored has " + stored.byteSize() + " bytes, fewer than its " + plan.blocks() + " blocks");
    }
    long bytes = plan.blocks();
    for (int block = 0; block < plan.blocks(); block++) {
      byte mode = stored.get(Segments.BYTE, block);
      if (mode != QUANTIZED && mode != RAW) {
        throw new MalformedDataException("mode of block " + block + " is " + mode + ", must be 0 or 1");
      }
      int rows = plan.rows(block);
      bytes += mode == RAW ? plan.rawBytes(rows) : plan.quantizedBytes(rows);
    }
    if (stored.byteSize() != bytes) {
      throw new MalformedDataException("stored has " + stored.byteSize() + " bytes, its modes say " + bytes);
    }
  }

  private GroupPlan plan(KvShape shape, int groupSize) {
    if (!supports(shape)) {
      throw Segments.unsupported(name(), shape);
    }
    return new GroupPlan(shape, bits, groupSize);
  }

  /** Not called on a throw: buffers are then left to the collector. */
  private static void giveBack(GroupBuffers buffers) {
    if (buffers.worthKeeping()) {
      POOL.give(buffers);
    }
  }
}
