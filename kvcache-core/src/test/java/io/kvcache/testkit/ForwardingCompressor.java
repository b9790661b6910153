package io.kvcache.testkit;

import io.kvcache.Fidelity;
import io.kvcache.KvShape;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.MemorySegment;

/** Passes every call on to another compressor; tests change what they are about. */
public class ForwardingCompressor implements Compressor {
  private final Compressor inner;

  /** Passes calls on to {@code inner}. */
  public ForwardingCompressor(Compressor inner) {
    this.inner = inner;
  }

  @Override
  public int codec() {
    return inner.codec();
  }

  @Override
  public String name() {
    return inner.name();
  }

  @Override
  public int parameters() {
    return inner.parameters();
  }

  @Override
  public Fidelity fidelity() {
    return inner.fidelity();
  }

  @Override
  public double nominalQuality() {
    return inner.nominalQuality();
  }

  @Override
  public boolean supports(KvShape shape) {
    return inner.supports(shape);
  }

  @Override
  public long maxStoredBytes(KvShape shape) {
    return inner.maxStoredBytes(shape);
  }

  @Override
  public long compress(KvShape shape, MemorySegment source, MemorySegment target) {
    return inner.compress(shape, source, target);
  }

  @Override
  public void decompress(KvShape shape, int parameters, MemorySegment stored, MemorySegment target)
      throws MalformedDataException {
    inner.decompress(shape, parameters, stored, target);
  }
}
