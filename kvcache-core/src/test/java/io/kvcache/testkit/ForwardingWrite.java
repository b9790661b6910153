package io.kvcache.testkit;

import io.kvcache.spi.TierWrite;
import java.io.IOException;
import java.lang.foreign.MemorySegment;

/** Passes every call on: the base of writes that differ from another in one respect. */
public class ForwardingWrite implements TierWrite {
  private final TierWrite inner;

  /** Passes on to {@code inner}, which it closes. */
  public ForwardingWrite(TierWrite inner) {
    this.inner = inner;
  }

  @Override
  public MemorySegment part(int index) {
    return inner.part(index);
  }

  @Override
  public void commit(long[] partBytes) throws IOException {
    inner.commit(partBytes);
  }

  @Override
  public void close() {
    inner.close();
  }
}
