package io.kvcache.tiers;

import io.kvcache.spi.EntryId;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierWrite;
import io.kvcache.testkit.ForwardingTier;
import io.kvcache.testkit.ForwardingWrite;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Says on standard output what is about to be done, before, and what was acknowledged, after. A line is one write of
 * less than a pipe takes at once, so that a kill leaves it whole or not at all.
 */
final class CrashReport {
  /** Ids in one line, so that it has less than 4096 bytes. */
  private static final int IDS_A_LINE = 50;

  private final FileOutputStream out = new FileOutputStream(FileDescriptor.out);

  synchronized void line(String line) {
    try {
      out.write((line + "\n").getBytes(StandardCharsets.US_ASCII));
    } catch (IOException parentGone) {
      Runtime.getRuntime().halt(3);
    }
  }

  static String idName(EntryId id) {
    return id.key() + ":" + id.variantClass().ordinal();
  }

  private void ids(String what, Collection<EntryId> ids) {
    List<EntryId> all = new ArrayList<>(ids);
    for (int from = 0; from < all.size(); from += IDS_A_LINE) {
      StringBuilder line = new StringBuilder(what);
      all.subList(from, Math.min(all.size(), from + IDS_A_LINE))
          .forEach(id -> line.append(' ').append(idName(id)));
      line(line.toString());
    }
  }

  /**
   * A tier that reports what is done to it: what the cache decided to remove is thereby told from what was lost.
   */
  Tier of(Tier tier) {
    return new Reported(tier);
  }

  private final class Reported extends ForwardingTier {
    private final AtomicLong flushes = new AtomicLong();

    Reported(Tier inner) {
      super(inner);
    }

    @Override
    public Optional<TierWrite> create(EntryId id, byte[] note, long[] partBytes) throws IOException {
      return super.create(id, note, partBytes).map(write -> new ForwardingWrite(write) {
        @Override
        public void commit(long[] bytes) throws IOException {
          line("putting " + idName(id));
          super.commit(bytes);
          line("put " + idName(id));
        }
      });
    }

    @Override
    public int remove(Collection<EntryId> ids) throws IOException {
      ids("dropping", ids);
      int removed = super.remove(ids);
      ids("dropped", ids);
      return removed;
    }

    @Override
    public void flush() throws IOException {
      long number = flushes.incrementAndGet();
      line("syncing " + number);
      super.flush();
      line("synced " + number);
    }
  }
}
