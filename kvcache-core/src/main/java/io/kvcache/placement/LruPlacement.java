package io.kvcache.placement;

import io.kvcache.spi.Move;
import io.kvcache.spi.Placement;
import io.kvcache.spi.PlacementEvent;
import io.kvcache.spi.PlacementPolicy;
import io.kvcache.spi.SegmentView;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableSet;
import java.util.Optional;
import java.util.TreeSet;

/**
 * Least recently used, prefix-closed: a segment is never evicted before the segments that continue it. One fixed
 * encoding for each tier. What is evicted from a tier moves to the next; what is hit below tier 0 is copied up.
 *
 * <p>Each tier has its segments in order of their last use, wherever they were then, and among those last used together
 * the deepest first: so a parent is always behind its children. A victim of the last tier with children left (they may
 * be busy) is passed over.
 */
public final class LruPlacement implements PlacementPolicy {
  private final int[] codecs;
  private List<TierInfo> tiers = List.of();
  private final List<NavigableSet<Place>> byUse = new ArrayList<>();
  private final List<Map<SegmentView, Place>> places = new ArrayList<>();

  /** Where a segment stands in the order of a tier. */
  private record Place(long lastUse, int firstChunk, SegmentView segment) {
    static final Comparator<Place> ORDER = Comparator.comparingLong(Place::lastUse)
        .thenComparing(Comparator.comparingInt(Place::firstChunk).reversed())
        .thenComparingLong(place -> place.segment.id());
  }

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
    if (!this.tiers.isEmpty()) {
      throw new IllegalStateException("the policy was started before; each cache needs one of its own");
    }
    this.tiers = List.copyOf(tiers);
    for (int tier = 0; tier < tiers.size(); tier++) {
      byUse.add(new TreeSet<>(Place.ORDER));
      places.add(new HashMap<>());
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
          forget(segment, tier);
        }
      }
      case PlacementEvent.Split(SegmentView upper, SegmentView lower) -> split(upper, lower);
      case PlacementEvent.Gone(SegmentView segment) -> forgetEverywhere(segment);
      case PlacementEvent.Hit(List<? extends SegmentView> path) -> {
        return hit(path);
      }
    }
    return List.of();
  }

  /** Storing a segment is a use of those before it. */
  private void placed(SegmentView segment, int tier) {
    long lastUse = put(segment, tier, segment.lastUseNanos());
    for (SegmentView up = segment.parent(); up != null; up = up.parent()) {
      if (places.get(tier).containsKey(up)) {
        lastUse = put(up, tier, Math.max(lastUse, up.lastUseNanos()));
      }
    }
  }

  private long put(SegmentView segment, int tier, long lastUse) {
    forget(segment, tier);
    Place place = new Place(lastUse, segment.firstChunk(), segment);
    places.get(tier).put(segment, place);
    byUse.get(tier).add(place);
    return lastUse;
  }

  private void forget(SegmentView segment, int tier) {
    Place place = places.get(tier).remove(segment);
    if (place != null) {
      byUse.get(tier).remove(place);
    }
  }

  private void forgetEverywhere(SegmentView segment) {
    for (int tier = 0; tier < places.size(); tier++) {
      forget(segment, tier);
    }
  }

  /** Both parts take the whole's place, the lower one before the upper. */
  private void split(SegmentView upper, SegmentView lower) {
    for (int tier = 0; tier < places.size(); tier++) {
      Place whole = places.get(tier).get(lower);
      forget(lower, tier);
      for (SegmentView part : List.of(lower, upper)) {
        if (part.chunksIn(tier) > 0) {
          put(part, tier, whole.lastUse);
        }
      }
    }
  }

  private List<Move> hit(List<? extends SegmentView> path) {
    List<Move> promotions = new ArrayList<>();
    for (SegmentView segment : path) {
      for (int tier = 0; tier < tiers.size(); tier++) {
        if (places.get(tier).containsKey(segment)) {
          put(segment, tier, segment.lastUseNanos());
        }
        if (tier > 0 && segment.chunksIn(tier) > 0 && segment.chunksIn(0) < segment.chunks()) {
          promotions.add(new Move.Transfer(segment, tier, at(0), true));
        }
      }
    }
    return promotions;
  }

  @Override
  public List<Move> plan(int tier, long bytes, long nowNanos) {
    List<Move> moves = new ArrayList<>();
    long freed = 0;
    for (Place place : byUse.get(tier)) {
      if (freed >= bytes) {
        break;
      }
      SegmentView segment = place.segment;
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
