package io.kvcache.internal.frame;

import io.kvcache.Fidelity;
import io.kvcache.KvShape;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.MemorySegment;

/** The identity: bytes as they came. Codec 0, known to the core so that raw KV can be read in place. */
final class RawCodec implements Compressor {
  @Override
  public int codec() {
    return Codecs.RAW;
  }

  @Override
  public String name() {
    return "raw";
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
    return true;
  }

  @Override
  public long maxStoredBytes(KvShape shape) {
    return shape.bytes();
  }

  @Override
  public long compress(KvShape shape, MemorySegment source, MemorySegment target) {
    MemorySegment.copy(source, 0, target, 0, shape.bytes());
    return shape.bytes();
  }

  @Override
  public void decompress(KvShape shape, int parameters, MemorySegment stored, MemorySegment target)
      throws MalformedDataException {
    Preamble.require(stored.byteSize() == shape.bytes(), "raw half has %d bytes, expected %d",
        stored.byteSize(), shape.bytes());
    MemorySegment.copy(stored, 0, target, 0, shape.bytes());
  }
}
