package io.kvcache.placement;

import io.kvcache.ChunkKey;
import io.kvcache.Encoding;
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
import java.util.stream.IntStream;

/**
 * Least recently used, prefix-closed: a segment is never evicted before the segments that continue it. One
 * fixed encoding for each tier. What is evicted from a tier moves to the next; what is hit below tier 0 is
 * copied up.
 *
 * <p>Each tier has its segments in order of their last use, wherever they were then, and among those last
 * used together the deepest first: so a parent is always behind its children. A victim of the last tier with
 * children left (they may be busy) is passed over.
 */
public final class LruPlacement implements PlacementPolicy {
  private final List<Encoding> encodings;
  private List<TierInfo> tiers = List.of();
  private final List<NavigableSet<Place>> byUse = new ArrayList<>();
  private final List<Map<SegmentView, Place>> places = new ArrayList<>();

  /** Where a segment stands in the order of a tier. */
  private record Place(long lastUse, int firstChunk, SegmentView segment) {
    static final Comparator<Place> ORDER = Comparator.comparingLong(Place::lastUse)
        .thenComparing(Comparator.comparingInt(Place::firstChunk).reversed())
        .thenComparingLong(place -> place.segment.id());
  }

  private LruPlacement(List<Encoding> encodings) {
    this.encodings = encodings;
  }

  /** Raw KV in every tier. */
  public static LruPlacement raw() {
    return new LruPlacement(List.of());
  }

  /**
   * Every token by these codecs, fastest tier first; raw in tiers beyond.
   *
   * @param codecs numbers of codecs, 0 for raw
   */
  public static LruPlacement withCodecs(int... codecs) {
    return new LruPlacement(IntStream.of(codecs).mapToObj(Encoding::of).toList());
  }

  /** These encodings, fastest tier first; raw in tiers beyond. */
  public static LruPlacement withEncodings(Encoding... encodings) {
    return new LruPlacement(List.of(encodings));
  }

  @Override
  public void start(CacheInfo cache) {
    if (encodings.size() > cache.tiers().size()) {
      throw new IllegalArgumentException(
          "codecs are given for " + encodings.size() + " tiers, the cache has " + cache.tiers().size());
    }
    for (Encoding encoding : encodings) {
      if (!cache.codings().codecs().contains(encoding.codec())) {
        throw new IllegalArgumentException(
            "codec " + encoding.codec() + " is not among the cache's " + cache.codings().codecs());
      }
      if (!cache.codings().supports(encoding)) {
        throw new IllegalArgumentException("tokens of the cache's layout cannot be dropped as " + encoding);
      }
    }
    if (!this.tiers.isEmpty()) {
      throw new IllegalStateException("the policy was started before; each cache needs one of its own");
    }
    this.tiers = List.copyOf(cache.tiers());
    for (int tier = 0; tier < this.tiers.size(); tier++) {
      byUse.add(new TreeSet<>(Place.ORDER));
      places.add(new HashMap<>());
    }
  }

  /** Those that drop tokens: only then does the cache keep the scores that ranking them needs. */
  @Override
  public List<Encoding> candidates() {
    return encodings.stream().filter(Encoding::dropsTokens).distinct().toList();
  }

  @Override
  public Optional<Placement> admit(ChunkKey root, SegmentView parent, int chunks, long nowNanos) {
    return Optional.of(at(0));
  }

  private Placement at(int tier) {
    return new Placement(tier, tier < encodings.size() ? encodings.get(tier) : Encoding.RAW);
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
      case PlacementEvent.Profiled ignored -> {
      }
      case PlacementEvent.LoadDelay ignored -> {
      }
      case PlacementEvent.StoreDelay ignored -> {
      }
      case PlacementEvent.RecomputeDelay ignored -> {
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
  public Encoding persistAs(SegmentView segment, int tier) {
    return at(tier).encoding();
  }
}
