package io.kvcache.testkit;

import io.kvcache.Fidelity;
import io.kvcache.KvShape;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * The simplest lossless encoding of variable size: leaves out the zeros at the end, and disguises the rest.
 */
public class TrailingZerosCompressor implements Compressor {
  /** Its number. */
  public static final int CODEC = 60_001;

  private static final int MASK = 0x5a;

  @Override
  public int codec() {
    return CODEC;
  }

  @Override
  public String name() {
    return "trailing-zeros";
  }

  @Override
  public int parameters() {
    return MASK;
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
    return true;
  }

  @Override
  public long maxStoredBytes(KvShape shape) {
    return shape.bytes() + 1;
  }

  @Override
  public long compress(KvShape shape, MemorySegment source, MemorySegment target) {
    long end = shape.bytes();
    while (end > 0 && source.get(ValueLayout.JAVA_BYTE, end - 1) == 0) {
      end--;
    }
    target.set(ValueLayout.JAVA_BYTE, 0, (byte) MASK);
    mask(source, 0, target, 1, end);
    return end + 1;
  }

  @Override
  public void decompress(KvShape shape, int parameters, MemorySegment stored, MemorySegment target)
      throws MalformedDataException {
    long length = stored.byteSize() - 1;
    if (length < 0 || length > shape.bytes() || parameters != MASK) {
      throw new MalformedDataException(stored.byteSize() + " bytes for a half of " + shape.bytes());
    }
    mask(stored, 1, target, 0, length);
    target.asSlice(length).fill((byte) 0);
  }

  private static void mask(MemorySegment from, long fromAt, MemorySegment to, long toAt, long bytes) {
    for (long at = 0; at < bytes; at++) {
      int plain = from.get(ValueLayout.JAVA_BYTE, fromAt + at);
      to.set(ValueLayout.JAVA_BYTE, toAt + at, (byte) (plain ^ MASK));
    }
  }
}
