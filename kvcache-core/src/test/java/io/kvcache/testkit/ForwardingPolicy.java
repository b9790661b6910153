package io.kvcache.testkit;

import io.kvcache.ChunkKey;
import io.kvcache.Encoding;
import io.kvcache.spi.Move;
import io.kvcache.spi.Placement;
import io.kvcache.spi.PlacementEvent;
import io.kvcache.spi.PlacementPolicy;
import io.kvcache.spi.SegmentView;
import java.util.List;
import java.util.Optional;

/** Passes every call on to another policy; tests change what they are about. */
public class ForwardingPolicy implements PlacementPolicy {
  private final PlacementPolicy inner;

  /** Passes calls on to {@code inner}. */
  public ForwardingPolicy(PlacementPolicy inner) {
    this.inner = inner;
  }

  @Override
  public void start(CacheInfo cache) {
    inner.start(cache);
  }

  @Override
  public List<Encoding> candidates() {
    return inner.candidates();
  }

  @Override
  public boolean weighsDelays() {
    return inner.weighsDelays();
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

  @Override
  public Verdict explain(SegmentView segment, long nowNanos) {
    return inner.explain(segment, nowNanos);
  }
}
