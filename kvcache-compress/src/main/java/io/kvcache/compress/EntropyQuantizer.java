package io.kvcache.compress;

import io.kvcache.DType;
import io.kvcache.Fidelity;
import io.kvcache.KvShape;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.MemorySegment;

/**
 * Quantization with an entropy coder behind it, after CacheGen (Liu et al., SIGCOMM 2024). What it takes from there:
 * bins that are finer where it matters, differences between tokens, and static frequencies for each group of channels.
 * What it does otherwise, because it measured better on real KV, is in {@code ARCHITECTURE.md}: all channels of a half
 * share a step, which makes the least error of a given number of bits once a coder follows; differences are taken of
 * rounded numbers to the token before, weighted, and only in channels of keys where that pays; channels are grouped by
 * how far their numbers are from zero.
 *
 * <h2>Format, version 1</h2>
 *
 * <p>{@code C = kvHeads · dim} channels of a row, in strand order as {@link GroupQuantizer} has them. The tokens are
 * cut into blocks of 256; the last may be shorter. All numbers are little-endian; a varint has seven bits a byte, the
 * least significant first, and the highest bit set in all bytes but the last.
 *
 * <pre>
 * stored    = block[blocks]
 * raw block = 1: 1 byte, the block's rows as they were
 * block     = 0: 1 byte, flags: 1 byte, step: binary32, [raw], [scales], classes, [predictors], means, tables,
 *             words: varint, state[4]: 8 bytes each, low, word[words]: 4 bytes each, raw rows
 * flags     = number of classes less 1, 128 more when some rows are raw
 * raw       = when some are: a bit for each row, bit 0 of byte 0 for the first; unused bits 0
 * scales    = values only: 4 bits for each row, the low half of a byte first
 * classes   = 4 bits for each channel, the low half of a byte first
 * predictors= keys only: 2 bits for each channel, the lowest of a byte first: 0, 1, 2, 3 for 0, 2, 3, 4 quarters
 * means     = a varint for each channel: 2m, or −2m − 1 where m is negative
 * tables    = for each class: lowest symbol, signed: 1 byte, symbols less 1: 1 byte, frequency: a varint for each
 *             symbol from the lowest on; a table's frequencies sum up to 4096
 * low       = level 0 only: a row's low bits, ⌈C/2⌉ bytes: byte i = first[i] | second[i] · 16
 * raw rows  = those rows as they were
 * </pre>
 *
 * <p>Decoding: {@code value = steps · (step · 2^((scale − 12) / 4)) + m · step}, each operation and the power rounded
 * to binary32, none fused; then rounded to the element type, half to even. A key's scale is 12. {@code steps =
 * ((quarters · previous + 2) >> 2) + residual}, as a signed number of 8 bits, of 12 at level 0, that wraps around;
 * {@code previous} are the channel's steps in the row before, 0 in the first. A residual is the symbol, at level 0 the
 * symbol times 16 and the low bits. In a raw row the residuals count too, and then the row is replaced.
 *
 * <p>Symbols are in rANS: four states, each of 2³¹ up to 2⁶³. Strands are filled up to a multiple of four channels with
 * ones of a table in which symbol 0 has a frequency of 4096, and cost nothing. For row after row, and i = 0, 4, 8 …,
 * state j decodes symbol {@code first[i + j]}, then {@code second[i + j]}; then, if below 2³¹, it is shifted by 32 bits
 * and takes the next word, states in order. Decoding a symbol: {@code slot = state mod 4096} lies within one symbol's
 * frequency, those of a table laid out in order; {@code state = frequency · ⌊state / 4096⌋ + slot − first slot}. In the
 * end all states must be 2³¹ and all words must have been used.
 *
 * <p>Encoding: the step is the level's share of the standard deviation about the channels' means, at least a 2^20th of
 * the greatest amount; a value is rounded to the nearest step from the mean, so that |error| is at most half a step,
 * plus the roundings of decoding. −0 comes back as +0. A value's scale is {@code 12 + ⌊log2 of its token's power, in
 * units of the mean⌋}, from 0 to 15: a token of small values has a smaller step, since it may be one that all others
 * attend to. Rows are raw that hold NaN, an infinity or what is close to overflowing, that have more than 64 times the
 * mean power, or are further from the mean than 128 steps (2048 at level 0); a block is when more than an eighth of its
 * rows are, or when it would not get smaller.
 */
final class EntropyQuantizer implements Compressor {
  /** The scale of a token that leaves the block's step as it is. */
  static final int SCALE_OF_ONE = 12;

  /** Codes of what a channel expects of the token before. */
  static final int PREDICTORS = 4;

  /** Beyond that many channels a block would not fit arrays; no known model comes near. */
  private static final int MOST_CHANNELS = 1 << 18;
  private static final float[] SCALES = new float[16];
  private static final int[] QUARTERS = {0, 2, 3, 4};
  private static final Pool<EntropyBuffers> POOL = new Pool<>(EntropyBuffers::new);

  static {
    for (int scale = 0; scale < SCALES.length; scale++) {
      SCALES[scale] = (float) StrictMath.pow(2, (scale - SCALE_OF_ONE) / 4.0);
    }
  }

  private final EntropyLevel level;

  EntropyQuantizer(EntropyLevel level) {
    this.level = level;
  }

  /** The step of a token with this scale. */
  static float scaled(float step, int scale) {
    return step * SCALES[scale];
  }

  /** What is expected of the token before, in quarters. */
  static int quarters(int code) {
    return QUARTERS[code];
  }

  /** The code of so many quarters. */
  static int predictor(int quarters) {
    return quarters == 0 ? 0 : quarters - 1;
  }

  @Override
  public int codec() {
    return level.codec();
  }

  @Override
  public String name() {
    return "entropy" + level.ordinal();
  }

  @Override
  public int parameters() {
    return 0;
  }

  @Override
  public Fidelity fidelity() {
    return new Fidelity.Quantized(level.bits());
  }

  @Override
  public double nominalQuality() {
    return level.nominalQuality();
  }

  @Override
  public boolean supports(KvShape shape) {
    DType dtype = shape.dtype();
    return (dtype == DType.BF16 || dtype == DType.F16 || dtype == DType.F32)
        && shape.channels() <= MOST_CHANNELS;
  }

  @Override
  public long maxStoredBytes(KvShape shape) {
    return plan(shape).blocks() + shape.bytes();
  }

  @Override
  public long usualStoredBytes(KvShape shape) {
    double bits = shape.elements() * level.usualBits(shape.half());
    return Math.min(maxStoredBytes(shape), 1 + (long) (bits / Byte.SIZE));
  }

  @Override
  public long compress(KvShape shape, MemorySegment source, MemorySegment target) {
    EntropyPlan plan = plan(shape);
    Segments.requireRoom(shape, source, target, maxStoredBytes(shape));
    EntropyBuffers buffers = POOL.take();
    try {
      buffers.fitBlock(plan);
      return compress(plan, buffers, source, target);
    } finally {
      giveBack(buffers);
    }
  }

  private static long compress(EntropyPlan plan, EntropyBuffers buffers, MemorySegment source,
      MemorySegment target) {
    EntropyEncoder encoder = new EntropyEncoder(plan, buffers, source, target);
    long from = 0;
    long to = 0;
    for (int block = 0; block < plan.blocks(); block++) {
      int rows = plan.rows(block);
      long bytes = encoder.encode(from, rows, to);
      if (bytes == 0) {
        target.set(Segments.BYTE, to, (byte) EntropyPlan.MODE_RAW);
        MemorySegment.copy(source, from, target, to + 1, plan.rawBytes(rows));
        bytes = 1 + plan.rawBytes(rows);
      }
      from += plan.rawBytes(rows);
      to += bytes;
    }
    return to;
  }

  @Override
  public void decompress(KvShape shape, int parameters, MemorySegment stored, MemorySegment target)
      throws MalformedDataException {
    EntropyPlan plan = plan(shape);
    Segments.requireBytes("target", target, shape.bytes());
    if (parameters != 0) {
      throw new MalformedDataException("parameters are " + parameters + ", must be 0");
    }
    EntropyBuffers buffers = POOL.take();
    try {
      buffers.fitRow(plan);
      decompress(plan, buffers, stored, target);
    } finally {
      giveBack(buffers);
    }
  }

  private static void decompress(EntropyPlan plan, EntropyBuffers buffers, MemorySegment stored,
      MemorySegment target)
      throws MalformedDataException {
    EntropyDecoder decoder = new EntropyDecoder(plan, buffers, stored, target);
    long from = 0;
    long to = 0;
    for (int block = 0; block < plan.blocks(); block++) {
      int rows = plan.rows(block);
      from =
          isRaw(stored, from) ? copy(plan, rows, stored, from, target, to) : decoder.decode(from, rows, to);
      to += plan.rawBytes(rows);
    }
    if (from != stored.byteSize()) {
      throw new MalformedDataException(
          "stored has " + stored.byteSize() + " bytes, its blocks end at " + from);
    }
  }

  private static boolean isRaw(MemorySegment stored, long from) throws MalformedDataException {
    if (from >= stored.byteSize()) {
      throw new MalformedDataException("stored ends after " + from + " bytes, before its last block");
    }
    byte mode = stored.get(Segments.BYTE, from);
    if (mode != EntropyPlan.MODE_CODED && mode != EntropyPlan.MODE_RAW) {
      throw new MalformedDataException("the mode of a block is " + mode + ", must be 0 or 1");
    }
    return mode == EntropyPlan.MODE_RAW;
  }

  private static long copy(EntropyPlan plan, int rows, MemorySegment stored, long from, MemorySegment target,
      long to)
      throws MalformedDataException {
    long end = from + 1 + plan.rawBytes(rows);
    if (end > stored.byteSize()) {
      throw new MalformedDataException(
          "stored has " + stored.byteSize() + " bytes, a raw block ends at " + end);
    }
    MemorySegment.copy(stored, from + 1, target, to, plan.rawBytes(rows));
    return end;
  }

  private EntropyPlan plan(KvShape shape) {
    if (!supports(shape)) {
      throw Segments.unsupported(name(), shape);
    }
    return new EntropyPlan(shape, level);
  }

  private static void giveBack(EntropyBuffers buffers) {
    if (buffers.worthKeeping()) {
      POOL.give(buffers);
    }
  }
}
