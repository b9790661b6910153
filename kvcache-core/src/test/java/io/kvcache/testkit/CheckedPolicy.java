package io.kvcache.testkit;

import io.kvcache.ChunkKey;
import io.kvcache.spi.Move;
import io.kvcache.spi.Placement;
import io.kvcache.spi.PlacementEvent;
import io.kvcache.spi.PlacementPolicy;
import io.kvcache.spi.SegmentView;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * A policy that checks both sides: that the cache tells it of a sound prefix tree, and that the policy it
 * wraps plans nothing it must not. Throws {@link AssertionError} into the cache otherwise.
 */
public final class CheckedPolicy extends ForwardingPolicy {
  private final Set<SegmentView> stored = new HashSet<>();
  private final Set<Long> gone = new HashSet<>();
  private List<TierInfo> tiers = List.of();

  /** Checks what goes in and out of {@code inner}. */
  public CheckedPolicy(PlacementPolicy inner) {
    super(inner);
  }

  /** Segments that were stored and are not gone. */
  public int segments() {
    return stored.size();
  }

  /** Bytes the segments have in a tier. */
  public long bytesIn(int tier) {
    return stored.stream().mapToLong(segment -> segment.bytesIn(tier)).sum();
  }

  @Override
  public void start(CacheInfo cache) {
    tiers = List.copyOf(cache.tiers());
    super.start(cache);
  }

  @Override
  public Verdict explain(SegmentView segment, long nowNanos) {
    requireSound(segment);
    return super.explain(segment, nowNanos);
  }

  @Override
  public Optional<Placement> admit(ChunkKey root, SegmentView parent, int chunks, long nowNanos) {
    require(chunks >= 1, chunks + " chunks to admit");
    return super.admit(root, parent, chunks, nowNanos);
  }

  @Override
  public List<Move> on(PlacementEvent event, long nowNanos) {
    switch (event) {
      case PlacementEvent.Placed(SegmentView segment, int tier) -> {
        stored.add(segment);
        requireSound(segment);
        require(segment.chunksIn(tier) > 0, "nothing of " + text(segment) + " is in tier " + tier);
      }
      case PlacementEvent.Left(SegmentView segment, int tier) ->
          require(segment.chunksIn(tier) <= segment.chunks(), "more of " + text(segment) + " than there is");
      case PlacementEvent.Split(SegmentView upper, SegmentView lower) -> split(upper, lower);
      case PlacementEvent.Gone(SegmentView segment) -> {
        require(gone.add(segment.id()), text(segment) + " is gone twice");
        stored.remove(segment);
      }
      case PlacementEvent.Hit(List<? extends SegmentView> path) -> hit(path);
      case PlacementEvent.Profiled(SegmentView segment) -> requireSound(segment);
      case PlacementEvent.LoadDelay(int tier, var encoding, var line) -> requireTier(tier);
      case PlacementEvent.StoreDelay(int tier, var line) -> requireTier(tier);
      case PlacementEvent.RecomputeDelay ignored -> {
      }
    }
    List<Move> wishes = super.on(event, nowNanos);
    wishes.forEach(this::requireSensible);
    return wishes;
  }

  private void requireTier(int tier) {
    require(tier >= 0 && tier < tiers.size(), "there is no tier " + tier);
  }

  private void split(SegmentView upper, SegmentView lower) {
    requireSound(upper);
    requireSound(lower);
    require(lower.parent() == upper, text(lower) + " is not behind " + text(upper));
    if (stored.contains(lower)) {
      stored.add(upper);
    }
  }

  private void hit(List<? extends SegmentView> path) {
    SegmentView before = null;
    for (SegmentView segment : path) {
      requireSound(segment);
      require(segment.parent() == before, text(segment) + " is not the next of its path");
      before = segment;
    }
  }

  @Override
  public List<Move> plan(int tier, long bytes, long nowNanos) {
    require(bytes >= 1, bytes + " bytes to free");
    List<Move> moves = super.plan(tier, bytes, nowNanos);
    for (Move move : moves) {
      requireSensible(move);
      require(!move.segment().busy(), text(move.segment()) + " is busy and must not be moved");
      if (move instanceof Move.Drop(SegmentView segment, int from, var classes)) {
        boolean all = segment.variants().stream()
            .allMatch(variant -> variant.tier() != from || classes.contains(variant.variantClass()));
        require(!all || !segment.hasChildren() || segment.chunksOnlyIn(from) == 0,
            text(segment) + " has children and is in no other tier than " + from);
      }
    }
    return moves;
  }

  private void requireSensible(Move move) {
    SegmentView segment = move.segment();
    require(!gone.contains(segment.id()), text(segment) + " is gone and cannot be moved");
    int from =
        move instanceof Move.Drop drop ? drop.tier() : ((Move.Transfer) move).from();
    require(from >= 0 && from < tiers.size() && segment.chunksIn(from) > 0,
        "nothing of " + text(segment) + " is in tier " + from);
  }

  private void requireSound(SegmentView segment) {
    require(!gone.contains(segment.id()), text(segment) + " is gone");
    require(segment.chunks() >= 1, text(segment) + " has no chunk");
    SegmentView parent = segment.parent();
    require(parent == null || parent.firstChunk() + parent.chunks() == segment.firstChunk(),
        text(segment) + " does not begin where its parent ends");
    require(parent == null || (parent.hasChildren() && !gone.contains(parent.id())),
        "the parent of " + text(segment) + " is gone, or does not know it");
    for (int tier = 0; tier < tiers.size(); tier++) {
      int there = segment.chunksIn(tier);
      require(there <= segment.chunks() && segment.chunksOnlyIn(tier) <= there
          && there > 0 == segment.bytesIn(tier) > 0,
          text(segment) + " has " + there + " chunks in tier " + tier);
    }
  }

  private static String text(SegmentView segment) {
    return "segment " + segment.id() + " with chunks " + segment.firstChunk() + "+" + segment.chunks();
  }

  private static void require(boolean holds, String problem) {
    if (!holds) {
      throw new AssertionError(problem);
    }
  }
}
