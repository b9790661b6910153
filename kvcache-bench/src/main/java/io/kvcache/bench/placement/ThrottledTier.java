package io.kvcache.bench.placement;

import io.kvcache.spi.Deadline;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.ReadResult;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierEntry;
import io.kvcache.spi.TierTrait;
import io.kvcache.spi.TierUsage;
import io.kvcache.spi.TierWrite;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Collection;
import java.util.EnumSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;

/**
 * A tier as slow as one likes: what is read from the tier it wraps, and committed to it, passes one {@link Link}. It is
 * never addressable, as there would be nothing to hold back.
 *
 * <p>The shipped model's KV is so small that any medium delivers it in no time. Held to the bandwidths of a large
 * model, in proportion to the speed at which KV is computed, tiers matter as they do there.
 */
final class ThrottledTier implements Tier {
  private final Tier inner;
  private final Link link;

  /** Wraps {@code inner}, which it closes. */
  ThrottledTier(Tier inner, Link link) {
    this.inner = inner;
    this.link = link;
  }

  @Override
  public String name() {
    return inner.name();
  }

  @Override
  public Set<TierTrait> traits() {
    Set<TierTrait> traits = EnumSet.noneOf(TierTrait.class);
    traits.addAll(inner.traits());
    traits.remove(TierTrait.ADDRESSABLE);
    return traits;
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
    return inner.create(id, note, partBytes).map(ThrottledWrite::new);
  }

  @Override
  public boolean removalHelps(long[] partBytes) throws IOException {
    return inner.removalHelps(partBytes);
  }

  @Override
  public ReadResult read(EntryId id, int part, MemorySegment target, Deadline deadline) {
    long start = System.nanoTime();
    ReadResult result = inner.read(id, part, target, deadline);
    return result instanceof ReadResult.Present present && !link.transfer(present.bytes(), start, deadline)
        ? new ReadResult.Unreadable(new IOException(
            present.bytes() + " bytes cannot pass the link to " + name() + " by the deadline"))
        : result;
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

  /** Bytes pass the link when they are committed. */
  private final class ThrottledWrite implements TierWrite {
    private final TierWrite write;

    ThrottledWrite(TierWrite write) {
      this.write = write;
    }

    @Override
    public MemorySegment part(int index) {
      return write.part(index);
    }

    @Override
    public void commit(long[] partBytes) throws IOException {
      long start = System.nanoTime();
      write.commit(partBytes);
      link.transfer(Arrays.stream(partBytes).sum(), start, Deadline.never());
    }

    @Override
    public void close() {
      write.close();
    }
  }
}
