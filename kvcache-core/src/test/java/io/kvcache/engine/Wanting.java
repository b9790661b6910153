package io.kvcache.engine;

import io.kvcache.ChunkKey;
import io.kvcache.Encoding;
import io.kvcache.spi.Move;
import io.kvcache.spi.Placement;
import io.kvcache.spi.PlacementEvent;
import io.kvcache.spi.PlacementPolicy;
import io.kvcache.spi.SegmentView;
import java.util.List;
import java.util.Optional;

/** A policy that wants to know the quality of some encodings, and otherwise does what another does. */
record Wanting(PlacementPolicy inner, List<Encoding> candidates) implements PlacementPolicy {
  Wanting(PlacementPolicy inner, Encoding... candidates) {
    this(inner, List.of(candidates));
  }

  @Override
  public void start(CacheInfo cache) {
    inner.start(cache);
  }

  @Override
  public Optional<Placement> admit(ChunkKey root, SegmentView parent, int chunks, long nowNanos) {
    return inner.admit(root, parent, chunks, nowNanos);
  }

  @Override
  public List<Move> on(PlacementEvent event, long nowNanos) {
    return inner.on(event, nowNanos);
  }

  @Override
  public List<Move> plan(int tier, long bytes, long nowNanos) {
    return inner.plan(tier, bytes, nowNanos);
  }

  @Override
  public Encoding persistAs(SegmentView segment, int tier) {
    return inner.persistAs(segment, tier);
  }
}
