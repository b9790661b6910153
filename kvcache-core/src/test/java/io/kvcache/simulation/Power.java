package io.kvcache.simulation;

import io.kvcache.spi.Deadline;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.ReadResult;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierEntry;
import io.kvcache.spi.TierView;
import io.kvcache.spi.TierWrite;
import io.kvcache.testkit.ForwardingTier;
import io.kvcache.testkit.ForwardingWrite;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.Collection;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.function.Consumer;

/**
 * The power that all media hang on. Once armed it fails at some call into any of them, before the call has done its
 * work or just after; every later call fails as well, until it is restored. Threads: one at a time.
 */
final class Power {
  private static final int NEVER = -1;

  private int callsLeft = NEVER;
  private boolean afterwards;
  private boolean off;

  /** Fails at the call after so many. */
  void failAfter(int calls, SplittableRandom random) {
    callsLeft = calls;
    afterwards = random.nextBoolean();
  }

  /** Is back, and does not fail again until told to. */
  void restore() {
    callsLeft = NEVER;
    off = false;
  }

  boolean off() {
    return off;
  }

  /** Something done by a medium. */
  private interface Call<T, E extends Exception> {
    T run() throws E;
  }

  private <T, E extends Exception> T call(Call<T, E> call) throws E {
    boolean fails = !off && callsLeft == 0;
    callsLeft -= callsLeft > 0 ? 1 : 0;
    if (off || (fails && !afterwards)) {
      off = true;
      throw new PowerLoss();
    }
    T result = call.run();
    if (fails) {
      off = true;
      throw new PowerLoss();
    }
    return result;
  }

  /** A tier that fails with the power. Closing it, and what it gave out, never does. */
  Tier feed(Tier inner) {
    return new Fed(inner);
  }

  private final class Fed extends ForwardingTier {
    Fed(Tier inner) {
      super(inner);
    }

    @Override
    public Optional<TierWrite> create(EntryId id, byte[] note, long[] partBytes) throws IOException {
      return call(() -> super.create(id, note, partBytes)).map(FedWrite::new);
    }

    @Override
    public ReadResult read(EntryId id, int part, MemorySegment target, Deadline deadline) {
      return call(() -> super.read(id, part, target, deadline));
    }

    @Override
    public Optional<TierView> view(EntryId id) {
      return call(() -> super.view(id));
    }

    @Override
    public int remove(Collection<EntryId> ids) throws IOException {
      return call(() -> super.remove(ids));
    }

    @Override
    public void annotate(Map<EntryId, byte[]> notes) throws IOException {
      call(() -> {
        super.annotate(notes);
        return null;
      });
    }

    @Override
    public void inventory(Consumer<TierEntry> entries) throws IOException {
      call(() -> {
        super.inventory(entries);
        return null;
      });
    }

    @Override
    public void flush() throws IOException {
      call(() -> {
        super.flush();
        return null;
      });
    }
  }

  private final class FedWrite extends ForwardingWrite {
    FedWrite(TierWrite write) {
      super(write);
    }

    @Override
    public void commit(long[] partBytes) throws IOException {
      call(() -> {
        super.commit(partBytes);
        return null;
      });
    }
  }
}
