package io.kvcache.testkit;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.Encoding;
import io.kvcache.spi.Codings;
import io.kvcache.spi.DelayLine;
import io.kvcache.spi.Move;
import io.kvcache.spi.Placement;
import io.kvcache.spi.PlacementEvent;
import io.kvcache.spi.PlacementPolicy;
import io.kvcache.spi.PlacementPolicy.CacheInfo;
import io.kvcache.spi.PlacementPolicy.TierInfo;
import io.kvcache.spi.VariantClass;
import io.kvcache.spi.VariantView;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;

/**
 * A seeded sequence of events for a policy, over a tree of {@link FakeSegment}s; carries out what the policy
 * plans.
 */
final class PolicyScript {
  /** Bytes of a raw chunk. */
  static final long CHUNK_BYTES = 1000;
  private static final int TIERS = 3;

  private final CheckedPolicy policy;
  private final Codings codings;
  private final SplittableRandom random;
  private final long seed;
  private final List<FakeSegment> segments = new ArrayList<>();
  private final StringBuilder transcript = new StringBuilder();
  private long nextId;
  private long now;

  PolicyScript(PlacementPolicy policy, Codings codings, long seed) {
    this.codings = codings;
    this.policy = new CheckedPolicy(policy);
    this.random = new SplittableRandom(seed);
    this.seed = seed;
    List<TierInfo> tiers = new ArrayList<>();
    for (int index = 0; index < TIERS; index++) {
      int tier = index;
      tiers.add(new TierInfo("tier-" + tier, 100 * CHUNK_BYTES,
          () -> segments.stream().mapToLong(segment -> segment.bytesIn(tier)).sum(), Set.of()));
    }
    this.policy.start(new CacheInfo(tiers, codings, 16, 1_000_000_000L));
  }

  /** Runs so many steps; returns everything the policy answered. */
  String run(int steps) {
    for (int step = 0; step < steps; step++) {
      now += random.nextInt(3);
      switch (random.nextInt(10)) {
        case 0, 1 -> store();
        case 2, 3 -> hit();
        case 4 -> split();
        case 5 -> lose();
        case 6 -> profile();
        case 7 -> delay();
        case 8 -> any().ifPresent(segment -> segment.setBusy(random.nextBoolean()));
        default -> free("seed=" + seed + " step=" + step);
      }
    }
    return transcript.toString();
  }

  private Optional<FakeSegment> any() {
    return segments.isEmpty() ? Optional.empty() : Optional.of(segments.get(random.nextInt(segments.size())));
  }

  private void tell(PlacementEvent event) {
    List<Move> wishes = policy.on(event, now);
    transcript.append(wishes).append('\n');
    if (random.nextBoolean()) {
      wishes.forEach(this::carryOut);
    }
  }

  private void store() {
    FakeSegment parent = random.nextInt(3) == 0 ? null : any().orElse(null);
    int chunks = 1 + random.nextInt(4);
    Optional<Placement> placement = policy.admit(FakeSegment.ROOT, parent, chunks, now);
    transcript.append(placement).append('\n');
    if (placement.isPresent()) {
      assertTrue(placement.get().tier() >= 0 && placement.get().tier() < TIERS,
          () -> "seed=" + seed + placement);
      FakeSegment segment = new FakeSegment(nextId++, parent, chunks, CHUNK_BYTES);
      segments.add(segment);
      segment.use(now);
      place(segment, placement.get());
      tell(new PlacementEvent.Placed(segment, placement.get().tier()));
    }
  }

  private void hit() {
    any().ifPresent(segment -> {
      segment.use(now);
      tell(new PlacementEvent.Hit(segment.path()));
    });
  }

  private void split() {
    any().filter(segment -> segment.chunks() > 1).ifPresent(segment -> {
      FakeSegment upper = segment.split(nextId++, 1 + random.nextInt(segment.chunks() - 1));
      segments.add(upper);
      tell(new PlacementEvent.Split(upper, segment));
    });
  }

  private void profile() {
    any().ifPresent(segment -> {
      // Among them what no probe should say.
      segment.profile(random.doubles(policy.candidates().size(), -0.1, 1.1)
          .map(quality -> quality < 0 ? Double.NaN : quality).toArray());
      tell(new PlacementEvent.Profiled(segment));
      transcript.append(policy.explain(segment, now)).append('\n');
    });
  }

  private void delay() {
    DelayLine line = new DelayLine(random.nextDouble() * 1e-5, random.nextDouble() - 0.1);
    int tier = random.nextInt(TIERS);
    List<Encoding> encodings = new ArrayList<>(policy.candidates());
    codings.codecs().forEach(codec -> encodings.add(Encoding.of(codec)));
    tell(switch (random.nextInt(3)) {
      case 0 -> new PlacementEvent.LoadDelay(tier, encodings.get(random.nextInt(encodings.size())), line);
      case 1 -> new PlacementEvent.StoreDelay(tier, line);
      default -> new PlacementEvent.RecomputeDelay(line);
    });
  }

  private void lose() {
    any().ifPresent(segment -> leave(segment, random.nextInt(TIERS), EnumSet.allOf(VariantClass.class)));
  }

  private void place(FakeSegment segment, Placement at) {
    Encoding encoding = at.encoding();
    segment.place(at.tier(), encoding, codings.exact(encoding) ? VariantClass.FULL : VariantClass.SERVING,
        codings.expectedChunkBytes(encoding));
  }

  private void leave(FakeSegment segment, int tier, Set<VariantClass> classes) {
    if (segment.chunksIn(tier) > 0) {
      segment.leave(tier, classes);
      tell(new PlacementEvent.Left(segment, tier));
      for (FakeSegment each = segment; each != null && each.useless(); each = each.parent()) {
        if (segments.remove(each)) {
          each.detach();
          tell(new PlacementEvent.Gone(each));
        }
      }
    }
  }

  private void carryOut(Move move) {
    FakeSegment segment = (FakeSegment) move.segment();
    switch (move) {
      case Move.Drop(var ignored, int tier, var classes) -> leave(segment, tier, classes);
      case Move.Transfer(var ignored, int from, Placement to, boolean keepSource) -> {
        if (segments.contains(segment) && segment.chunksIn(from) > 0) {
          place(segment, new Placement(to.tier(), attainable(segment, from, to.encoding())));
          tell(new PlacementEvent.Placed(segment, to.tier()));
          if (!keepSource) {
            boolean exact = codings.exact(attainable(segment, from, to.encoding()));
            leave(segment, from, from != to.tier()
                ? EnumSet.allOf(VariantClass.class)
                : EnumSet.of(exact ? VariantClass.SERVING : VariantClass.FULL));
          }
        }
      }
    }
  }

  /** As the cache does it: from the best there is, or as it is. */
  private Encoding attainable(FakeSegment segment, int from, Encoding wanted) {
    Encoding best = null;
    for (VariantView variant : segment.variants()) {
      if (variant.tier() == from && (best == null || codings.exact(variant.encoding()))) {
        best = variant.encoding();
      }
    }
    return best == null || codings.reencodable(best, wanted) ? wanted : best;
  }

  private long freed(Move move, int tier) {
    FakeSegment segment = (FakeSegment) move.segment();
    return switch (move) {
      case Move.Drop(var ignored, int from, var classes) -> segment.variants().stream()
          .filter(
              variant -> variant.tier() == tier && from == tier && classes.contains(variant.variantClass()))
          .mapToLong(VariantView::bytes).sum();
      case Move.Transfer(var ignored, int from, Placement to, boolean keeps) when to.tier() == tier ->
          segment.bytesIn(tier) - segment.chunksIn(tier) * codings.expectedChunkBytes(to.encoding());
      case Move.Transfer(var ignored, int from, Placement to, boolean keeps) ->
          keeps || from != tier ? 0 : segment.bytesIn(tier);
    };
  }

  /** A plan frees what is asked, or leaves nothing that could go. */
  private void free(String at) {
    int tier = random.nextInt(TIERS);
    long bytes = 1 + random.nextLong(12 * CHUNK_BYTES);
    List<Move> moves = policy.plan(tier, bytes, now);
    transcript.append(moves).append('\n');
    long freed = moves.stream().mapToLong(move -> freed(move, tier)).sum();
    for (FakeSegment segment : segments) {
      boolean needed = tier == TIERS - 1 && segment.hasChildren() && segment.chunksOnlyIn(tier) > 0;
      boolean planned = moves.stream().anyMatch(move -> move.segment() == segment);
      assertTrue(freed >= bytes || planned || needed || segment.busy() || segment.chunksIn(tier) == 0,
          () -> at + ": " + segment + " could have gone, " + bytes + " bytes were wanted of tier " + tier);
    }
    moves.forEach(this::carryOut);
  }
}
