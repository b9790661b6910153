package io.kvcache.engine;

import io.kvcache.ChunkKey;
import io.kvcache.Encoding;
import io.kvcache.spi.Move;
import io.kvcache.spi.Placement;
import io.kvcache.spi.PlacementEvent;
import io.kvcache.spi.PlacementPolicy;
import io.kvcache.spi.SegmentView;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;

/** A policy that does as the test says, and remembers what it was told. */
final class Scripted implements PlacementPolicy {
  final List<PlacementEvent> told = new ArrayList<>();
  final Set<SegmentView> segments = new LinkedHashSet<>();
  /** Whether delays are measured, learned and saved. */
  boolean weighsDelays;
  /** How a durable tier stores what is flushed. */
  Encoding persisted = Encoding.RAW;
  /** What to do so that a tier has room. */
  List<Move> planned = List.of();
  /** What to do for a segment that a look-up or a prefetch covers. */
  Function<SegmentView, Move> onHit = segment -> null;
  private final List<Encoding> candidates;

  Scripted(Encoding... candidates) {
    this.candidates = List.of(candidates);
  }

  /** Encodes everything in a tier anew, in place, when it is covered next. */
  void reencode(int tier, Encoding as, boolean keepSource) {
    onHit = segment -> segment.chunksIn(tier) == 0 ? null
        : new Move.Transfer(segment, tier, new Placement(tier, as), keepSource);
  }

  @Override
  public void start(CacheInfo cache) {}

  @Override
  public List<Encoding> candidates() {
    return candidates;
  }

  @Override
  public boolean weighsDelays() {
    return weighsDelays;
  }

  @Override
  public Optional<Placement> admit(ChunkKey root, SegmentView parent, int chunks, long nowNanos) {
    return Optional.of(new Placement(0, Encoding.RAW));
  }

  @Override
  public List<Move> on(PlacementEvent event, long nowNanos) {
    told.add(event);
    switch (event) {
      case PlacementEvent.Placed(SegmentView segment, int tier) -> segments.add(segment);
      case PlacementEvent.Split(SegmentView upper, SegmentView lower) -> segments.add(upper);
      case PlacementEvent.Gone(SegmentView segment) -> segments.remove(segment);
      case PlacementEvent.Hit(List<? extends SegmentView> path) -> {
        return path.stream().map(each -> onHit.apply(each)).filter(move -> move != null).map(Move.class::cast)
            .toList();
      }
      default -> {
      }
    }
    return List.of();
  }

  @Override
  public List<Move> plan(int tier, long bytes, long nowNanos) {
    return planned;
  }

  @Override
  public Encoding persistAs(SegmentView segment, int tier) {
    return persisted;
  }
}
