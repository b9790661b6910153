package io.kvcache.testkit;

import io.kvcache.Fidelity;
import io.kvcache.KvShape;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** The simplest lossy encoding: keeps the upper four bits of every byte, whatever the bytes mean. */
public final class TruncatingCompressor implements Compressor {
  /** Its number. */
  public static final int CODEC = 60_002;

  /** Its {@link #nominalQuality}. */
  public static final double QUALITY = 0.8;

  private static final int KEPT = 0xf0;

  /** What becomes of a byte. */
  public static byte decoded(byte plain) {
    return (byte) (plain & KEPT);
  }

  @Override
  public int codec() {
    return CODEC;
  }

  @Override
  public String name() {
    return "truncating";
  }

  @Override
  public int parameters() {
    return 4;
  }

  @Override
  public Fidelity fidelity() {
    return new Fidelity.Quantized(4);
  }

  @Override
  public double nominalQuality() {
    return QUALITY;
  }

  @Override
  public boolean supports(KvShape shape) {
    return true;
  }

  @Override
  public long maxStoredBytes(KvShape shape) {
    return (shape.bytes() + 1) / 2;
  }

  @Override
  public long compress(KvShape shape, MemorySegment source, MemorySegment target) {
    long stored = maxStoredBytes(shape);
    for (long at = 0; at < stored; at++) {
      int first = source.get(ValueLayout.JAVA_BYTE, 2 * at) & KEPT;
      int second = 2 * at + 1 < shape.bytes() ? source.get(ValueLayout.JAVA_BYTE, 2 * at + 1) & KEPT : 0;
      target.set(ValueLayout.JAVA_BYTE, at, (byte) (first | second >>> 4));
    }
    return stored;
  }

  @Override
  public void decompress(KvShape shape, int parameters, MemorySegment stored, MemorySegment target)
      throws MalformedDataException {
    if (stored.byteSize() != maxStoredBytes(shape)) {
      throw new MalformedDataException(stored.byteSize() + " bytes for a half of " + shape.bytes());
    }
    for (long at = 0; at < shape.bytes(); at++) {
      int pair = stored.get(ValueLayout.JAVA_BYTE, at / 2);
      target.set(ValueLayout.JAVA_BYTE, at, decoded((byte) (at % 2 == 0 ? pair : pair << 4)));
    }
  }
}
