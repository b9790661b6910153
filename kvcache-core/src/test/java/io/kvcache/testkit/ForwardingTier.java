package io.kvcache.testkit;

import io.kvcache.spi.Deadline;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.ReadResult;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierEntry;
import io.kvcache.spi.TierTrait;
import io.kvcache.spi.TierUsage;
import io.kvcache.spi.TierView;
import io.kvcache.spi.TierWrite;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.Collection;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;

/** Passes every call on: the base of tiers that differ from another in one respect. */
public class ForwardingTier implements Tier {
  private final Tier inner;

  /** Passes on to {@code inner}, which it closes. */
  public ForwardingTier(Tier inner) {
    this.inner = inner;
  }

  @Override
  public String name() {
    return inner.name();
  }

  @Override
  public Set<TierTrait> traits() {
    return inner.traits();
  }

  @Override
  public long maxEntryBytes() {
    return inner.maxEntryBytes();
  }

  @Override
  public TierUsage usage() {
    return inner.usage();
  }

  @Override
  public Optional<TierWrite> create(EntryId id, byte[] note, long[] partBytes) throws IOException {
    return inner.create(id, note, partBytes);
  }

  @Override
  public boolean removalHelps(long[] partBytes) throws IOException {
    return inner.removalHelps(partBytes);
  }

  @Override
  public ReadResult read(EntryId id, int part, MemorySegment target, Deadline deadline) {
    return inner.read(id, part, target, deadline);
  }

  @Override
  public Optional<TierView> view(EntryId id) {
    return inner.view(id);
  }

  @Override
  public int remove(Collection<EntryId> ids) throws IOException {
    return inner.remove(ids);
  }

  @Override
  public void annotate(Map<EntryId, byte[]> notes) throws IOException {
    inner.annotate(notes);
  }

  @Override
  public void inventory(Consumer<TierEntry> entries) throws IOException {
    inner.inventory(entries);
  }

  @Override
  public void flush() throws IOException {
    inner.flush();
  }

  @Override
  public void close() throws IOException {
    inner.close();
  }
}
