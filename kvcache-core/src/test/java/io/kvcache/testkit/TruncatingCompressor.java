package io.kvcache.testkit;

import io.kvcache.Fidelity;
import io.kvcache.KvShape;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** The simplest lossy encoding: keeps the upper bits of every byte, whatever the bytes mean. */
public final class TruncatingCompressor implements Compressor {
  /** The number of the one that keeps four bits. */
  public static final int CODEC = 60_002;
  /** The number of the one that keeps two bits. */
  public static final int COARSE_CODEC = 60_003;

  /** The {@link #nominalQuality} of the one that keeps four bits. */
  public static final double QUALITY = 0.8;
  /** The {@link #nominalQuality} of the one that keeps two bits. */
  public static final double COARSE_QUALITY = 0.5;

  private final int bits;

  /** Keeps four bits of eight. */
  public TruncatingCompressor() {
    this(4);
  }

  private TruncatingCompressor(int bits) {
    this.bits = bits;
  }

  /** Keeps two bits of eight; what went through the other one before is as if it had not. */
  public static TruncatingCompressor coarse() {
    return new TruncatingCompressor(2);
  }

  private static int mask(int bits) {
    return 0xff << (8 - bits) & 0xff;
  }

  /** What becomes of a byte that is read with this fidelity. */
  public static byte decoded(byte plain, Fidelity fidelity) {
    return switch (fidelity) {
      case Fidelity.Exact ignored -> plain;
      case Fidelity.Quantized(int bits) -> (byte) (plain & mask(bits));
      case Fidelity.Pruned(double fraction, Fidelity values) -> decoded(plain, values);
    };
  }

  @Override
  public int codec() {
    return bits == 4 ? CODEC : COARSE_CODEC;
  }

  @Override
  public String name() {
    return bits == 4 ? "truncating" : "coarse";
  }

  @Override
  public int parameters() {
    return bits;
  }

  @Override
  public Fidelity fidelity() {
    return new Fidelity.Quantized(bits);
  }

  @Override
  public double nominalQuality() {
    return bits == 4 ? QUALITY : COARSE_QUALITY;
  }

  @Override
  public boolean supports(KvShape shape) {
    return true;
  }

  @Override
  public long maxStoredBytes(KvShape shape) {
    return (shape.bytes() * bits + 7) / 8;
  }

  @Override
  public long compress(KvShape shape, MemorySegment source, MemorySegment target) {
    long stored = maxStoredBytes(shape);
    int perByte = 8 / bits;
    for (long at = 0; at < stored; at++) {
      int packed = 0;
      for (int index = 0; index < perByte; index++) {
        long from = perByte * at + index;
        int kept = from < shape.bytes() ? source.get(ValueLayout.JAVA_BYTE, from) & mask(bits) : 0;
        packed |= kept >>> index * bits;
      }
      target.set(ValueLayout.JAVA_BYTE, at, (byte) packed);
    }
    return stored;
  }

  @Override
  public void decompress(KvShape shape, int parameters, MemorySegment stored, MemorySegment target)
      throws MalformedDataException {
    if (stored.byteSize() != maxStoredBytes(shape)) {
      throw new MalformedDataException(stored.byteSize() + " bytes for a half of " + shape.bytes());
    }
    int perByte = 8 / bits;
    for (long at = 0; at < shape.bytes(); at++) {
      int packed = stored.get(ValueLayout.JAVA_BYTE, at / perByte);
      int index = (int) (at % perByte);
      target.set(ValueLayout.JAVA_BYTE, at, (byte) (packed << index * bits & mask(bits)));
    }
  }
}
