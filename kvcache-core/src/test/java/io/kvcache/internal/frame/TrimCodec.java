package io.kvcache.internal.frame;

import io.kvcache.Fidelity;
import io.kvcache.KvShape;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.MemorySegment;

/** Drops trailing zeros, so that how long a half becomes depends on what it holds. */
record TrimCodec(int codec, Fidelity fidelity) implements Compressor {
  static final TrimCodec EXACT = new TrimCodec(200, Fidelity.EXACT);

  @Override
  public String name() {
    return "trim";
  }

  @Override
  public int parameters() {
    return 0x01020304;
  }

  @Override
  public double nominalQuality() {
    return fidelity.exact() ? 1 : 0.5;
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
    long length = shape.bytes();
    while (length > 0 && source.get(Wire.BYTE, length - 1) == 0) {
      length--;
    }
    target.set(Wire.BYTE, 0, (byte) 'T');
    MemorySegment.copy(source, 0, target, 1, length);
    return 1 + length;
  }

  @Override
  public void decompress(KvShape shape, int parameters, MemorySegment stored, MemorySegment target)
      throws MalformedDataException {
    Preamble.require(parameters == parameters() && stored.get(Wire.BYTE, 0) == 'T', "not trimmed");
    Preamble.require(stored.byteSize() - 1 <= shape.bytes(), "%d bytes are too many", stored.byteSize());
    target.fill((byte) 0);
    MemorySegment.copy(stored, 1, target, 0, stored.byteSize() - 1);
  }
}
