package io.kvcache.testkit;

import io.kvcache.spi.EntryId;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierWrite;
import java.io.IOException;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;

/** A tier whose commits, having taken effect, return only once {@link #release} was called. */
public final class SlowCommits extends ForwardingTier {
  private final CountDownLatch committed = new CountDownLatch(1);
  private final CountDownLatch gate = new CountDownLatch(1);

  /** Passes everything on to {@code inner}. */
  public SlowCommits(Tier inner) {
    super(inner);
  }

  /** Waits until an entry was committed. */
  public void awaitCommit() throws InterruptedException {
    committed.await();
  }

  /** Lets every commit return. */
  public void release() {
    gate.countDown();
  }

  @Override
  public Optional<TierWrite> create(EntryId id, byte[] note, long[] partBytes) throws IOException {
    return super.create(id, note, partBytes).map(Slow::new);
  }

  private final class Slow extends ForwardingWrite {
    Slow(TierWrite inner) {
      super(inner);
    }

    @Override
    public void commit(long[] partBytes) throws IOException {
      super.commit(partBytes);
      committed.countDown();
      try {
        gate.await();
      } catch (InterruptedException e) {
        throw new IllegalStateException("a thread of the cache was interrupted", e);
      }
    }
  }
}
