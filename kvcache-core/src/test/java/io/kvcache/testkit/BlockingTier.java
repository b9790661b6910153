package io.kvcache.testkit;

import io.kvcache.spi.Deadline;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.ReadResult;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierWrite;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** A tier that hangs, in reading or in claiming space, from {@link #block} until {@link #release}. */
public final class BlockingTier extends ForwardingTier {
  private static final long PATIENCE_SECONDS = 30;

  private volatile CountDownLatch gate = new CountDownLatch(0);
  private volatile CountDownLatch arrived = new CountDownLatch(1);

  /** Passes everything on to {@code inner}, until blocked. */
  public BlockingTier(Tier inner) {
    super(inner);
  }

  /** Lets calls hang from now on. */
  public void block() {
    arrived = new CountDownLatch(1);
    gate = new CountDownLatch(1);
  }

  /** Waits until a call hangs. */
  public void awaitCaller() throws InterruptedException {
    if (!arrived.await(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
      throw new AssertionError("nobody called " + name());
    }
  }

  /** Lets every call go on. */
  public void release() {
    gate.countDown();
  }

  private void pass() {
    CountDownLatch closed = gate;
    if (closed.getCount() > 0) {
      arrived.countDown();
      try {
        if (!closed.await(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
          throw new IllegalStateException(name() + " was never released");
        }
      } catch (InterruptedException e) {
        throw new IllegalStateException("a thread of the cache was interrupted", e);
      }
    }
  }

  @Override
  public ReadResult read(EntryId id, int part, MemorySegment target, Deadline deadline) {
    pass();
    return super.read(id, part, target, deadline);
  }

  @Override
  public Optional<TierWrite> create(EntryId id, byte[] note, long[] partBytes) throws IOException {
    pass();
    return super.create(id, note, partBytes);
  }
}
