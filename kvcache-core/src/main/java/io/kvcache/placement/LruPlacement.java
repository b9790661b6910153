package io.kvcache.placement;

import io.kvcache.spi.Move;
import io.kvcache.spi.Placement;
import io.kvcache.spi.PlacementEvent;
import io.kvcache.spi.PlacementPolicy;
import io.kvcache.spi.SegmentView;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.SequencedSet;

/**
 * Least recently used, prefix-closed: a segment is never evicted before the segments that continue it. One fixed
 * encoding for each tier. What is evicted from a tier moves to the next; what is hit below tier 0 is copied up.
 *
 * <p>Each tier has its segments in order of use. A hit touches its path from the end to the start, so that a parent
 * is always behind its children; a victim with children left (they may be busy) is passed over.
 */
public final class LruPlacement implements PlacementPolicy {
  private final int[] codecs;
  private List<TierInfo> tiers = List.of();
  private final List<SequencedSet<SegmentView>> byUse = new ArrayList<>();

  private LruPlacement(int[] codecs) {
    this.codecs = codecs;
  }

  /** Raw KV in every tier. */
  public static LruPlacement raw() {
    return new LruPlacement(new int[0]);
  }

  /**
   * These encodings, fastest tier first; raw in tiers beyond.
   *
   * @param codecs numbers of encodings, 0 for raw
   */
  public static LruPlacement withCodecs(int... codecs) {
    return new LruPlacement(codecs.clone());
  }

  @Override
  public void start(List<TierInfo> tiers, List<Integer> known) {
    if (codecs.length > tiers.size()) {
      throw new IllegalArgumentException(
          "codecs are given for " + codecs.length + " tiers, the cache has " + tiers.size());
    }
    for (int codec : codecs) {
      if (!known.contains(codec)) {
        throw new IllegalArgumentException("codec " + codec + " is not among the cache's " + known);
      }
    }
    this.tiers = List.copyOf(tiers);
    for (int tier = 0; tier < tiers.size(); tier++) {
      byUse.add(new LinkedHashSet<>());
    }
  }

  @Override
  public Optional<Placement> admit(SegmentView parent, int chunks, long nowNanos) {
    return Optional.of(at(0));
  }

  private Placement at(int tier) {
    return new Placement(tier, tier < codecs.length ? codecs[tier] : 0);
  }

  @Override
  public List<Move> on(PlacementEvent event, long nowNanos) {
    switch (event) {
      case PlacementEvent.Placed(SegmentView segment, int tier) -> placed(segment, tier);
      case PlacementEvent.Left(SegmentView segment, int tier) -> {
        if (segment.chunksIn(tier) == 0) {
          byUse.get(tier).remove(segment);
        }
      }
      case PlacementEvent.Split(SegmentView upper, SegmentView lower) -> split(upper, lower);
      case PlacementEvent.Gone(SegmentView segment) -> byUse.forEach(order -> order.remove(segment));
      case PlacementEvent.Hit(List<? extends SegmentView> path) -> {
        return hit(path);
      }
    }
    return List.of();
  }

  private void placed(SegmentView segment, int tier) {
    SequencedSet<SegmentView> order = byUse.get(tier);
    order.addLast(segment);
    for (SegmentView up = segment.parent(); up != null; up = up.parent()) {
      if (order.contains(up)) {
        order.addLast(up);
      }
    }
  }

  /** The lower part keeps the whole's place, the upper comes behind it and behind nothing else it should precede. */
  private void split(SegmentView upper, SegmentView lower) {
    for (int tier = 0; tier < byUse.size(); tier++) {
      if (upper.chunksIn(tier) > 0) {
        placed(upper, tier);
      }
      if (lower.chunksIn(tier) == 0) {
        byUse.get(tier).remove(lower);
      }
    }
  }

  private List<Move> hit(List<? extends SegmentView> path) {
    List<Move> promotions = new ArrayList<>();
    for (SegmentView segment : path.reversed()) {
      for (SequencedSet<SegmentView> order : byUse) {
        if (order.contains(segment)) {
          order.addLast(segment);
        }
      }
    }
    for (SegmentView segment : path) {
      fastestBelow(segment).ifPresent(
          from -> promotions.add(new Move.Transfer(segment, from, at(0), true)));
    }
    return promotions;
  }

  private OptionalInt fastestBelow(SegmentView segment) {
    if (segment.chunksIn(0) == segment.chunks()) {
      return OptionalInt.empty();
    }
    for (int tier = 1; tier < tiers.size(); tier++) {
      if (segment.chunksIn(tier) > 0) {
        return OptionalInt.of(tier);
      }
    }
    return OptionalInt.empty();
  }

  @Override
  public List<Move> plan(int tier, long bytes, long nowNanos) {
    List<Move> moves = new ArrayList<>();
    long freed = 0;
    for (SegmentView segment : byUse.get(tier)) {
      if (freed >= bytes) {
        break;
      }
      Optional<Move> move = evict(segment, tier);
      if (move.isPresent()) {
        moves.add(move.get());
        freed += segment.bytesIn(tier);
      }
    }
    return moves;
  }

  private Optional<Move> evict(SegmentView segment, int tier) {
    if (segment.busy()) {
      return Optional.empty();
    }
    int only = segment.chunksOnlyIn(tier);
    if (only == 0) {
      return Optional.of(new Move.Drop(segment, tier));
    }
    if (tier + 1 < tiers.size()) {
      return Optional.of(new Move.Transfer(segment, tier, at(tier + 1), false));
    }
    return segment.hasChildren() ? Optional.empty() : Optional.of(new Move.Drop(segment, tier));
  }

  @Override
  public int persistAs(SegmentView segment, int tier) {
    return at(tier).codec();
  }
}
