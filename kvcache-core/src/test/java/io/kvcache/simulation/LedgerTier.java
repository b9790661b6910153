package io.kvcache.simulation;

import io.kvcache.spi.EntryId;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierWrite;
import io.kvcache.testkit.ForwardingTier;
import java.io.IOException;
import java.util.Collection;
import java.util.HashSet;
import java.util.Optional;
import java.util.Set;

/**
 * Keeps a record of the entries that the cache itself removed: what else is missing was lost. Where media fail, so it
 * does of those it meant to replace, since the failure may take the old one as well.
 */
final class LedgerTier extends ForwardingTier {
  private final Set<EntryId> touched = new HashSet<>();

  private final boolean failing;

  LedgerTier(Tier inner, boolean failing) {
    super(inner);
    this.failing = failing;
  }

  Set<EntryId> touched() {
    return touched;
  }

  void forget() {
    touched.clear();
  }

  @Override
  public Optional<TierWrite> create(EntryId id, byte[] note, long[] partBytes) throws IOException {
    if (failing) {
      touched.add(id);
    }
    return super.create(id, note, partBytes);
  }

  @Override
  public int remove(Collection<EntryId> ids) throws IOException {
    touched.addAll(ids);
    return super.remove(ids);
  }
}
