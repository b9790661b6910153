package io.kvcache.tiers;

import io.kvcache.spi.EntryId;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierWrite;
import io.kvcache.testkit.ForwardingTier;
import io.kvcache.testkit.ForwardingWrite;
import java.io.IOException;
import java.util.Collection;
import java.util.List;
import java.util.Optional;

/** What can be wrong with a process that is killed, so that a check which notices nothing is noticed. */
enum CrashFlaw {
  NONE,
  /** Some of what is stored is gone at once. */
  LOSES_STORES,
  /** What is removed stays. */
  FORGETS_REMOVALS,
  /** Stores something else than it says. */
  STORES_OTHER_BYTES;

  Tier in(Tier tier) {
    return switch (this) {
      case LOSES_STORES -> new Losing(tier);
      case FORGETS_REMOVALS -> new Forgetting(tier);
      default -> tier;
    };
  }

  private static final class Losing extends ForwardingTier {
    private int commits;

    Losing(Tier inner) {
      super(inner);
    }

    @Override
    public Optional<TierWrite> create(EntryId id, byte[] note, long[] partBytes) throws IOException {
      return super.create(id, note, partBytes).map(write -> new ForwardingWrite(write) {
        @Override
        public void commit(long[] bytes) throws IOException {
          super.commit(bytes);
          if (++commits % 4 == 0) {
            Losing.super.remove(List.of(id));
          }
        }
      });
    }
  }

  private static final class Forgetting extends ForwardingTier {
    Forgetting(Tier inner) {
      super(inner);
    }

    @Override
    public int remove(Collection<EntryId> ids) {
      return ids.size();
    }
  }
}
