package io.kvcache.testkit;

import io.kvcache.ChunkKey;
import io.kvcache.Encoding;
import io.kvcache.spi.Move;
import io.kvcache.spi.Placement;
import io.kvcache.spi.PlacementEvent;
import io.kvcache.spi.PlacementPolicy;
import io.kvcache.spi.SegmentView;
import io.kvcache.spi.VariantClass;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeMap;

/**
 * Does whatever a policy may do, for no reason: moves up and down and encodes anew, in place as well, keeping the
 * source or not. What the engine promises, it promises under any policy.
 */
public final class RandomPolicy implements PlacementPolicy {
  private final List<Encoding> encodings;
  private final List<Encoding> candidates;
  private final boolean drops;
  private final boolean weighsDelays;
  private final SplittableRandom random;
  private final TreeMap<Long, SegmentView> stored = new TreeMap<>();
  private int tiers;
  private boolean calm;

  /**
   * A policy that draws from a seed.
   *
   * @param encodings to choose from
   * @param drops whether it drops anything
   */
  public RandomPolicy(List<Encoding> encodings, boolean drops, SplittableRandom random) {
    this.encodings = encodings;
    this.drops = drops;
    this.random = random;
    this.weighsDelays = random.nextBoolean();
    Set<Encoding> lossy = new LinkedHashSet<>(encodings);
    lossy.removeIf(encoding -> encoding.equals(Encoding.RAW) || random.nextInt(3) == 0);
    this.candidates = List.copyOf(lossy);
  }

  /** From now on only does what frees room. */
  public void calm() {
    calm = true;
  }

  @Override
  public void start(CacheInfo cache) {
    tiers = cache.tiers().size();
  }

  @Override
  public List<Encoding> candidates() {
    return candidates;
  }

  @Override
  public boolean weighsDelays() {
    return weighsDelays;
  }

  private Encoding anyEncoding() {
    return encodings.get(random.nextInt(encodings.size()));
  }

  @Override
  public Optional<Placement> admit(ChunkKey root, SegmentView parent, int chunks, long nowNanos) {
    if (calm) {
      return Optional.of(new Placement(0, Encoding.RAW));
    }
    return drops && random.nextInt(20) == 0 ? Optional.empty()
        : Optional.of(new Placement(random.nextInt(3) > 0 ? 0 : random.nextInt(tiers), anyEncoding()));
  }

  @Override
  public List<Move> on(PlacementEvent event, long nowNanos) {
    List<Move> wishes = new ArrayList<>();
    switch (event) {
      case PlacementEvent.Placed(SegmentView segment, int tier) -> {
        stored.put(segment.id(), segment);
        wish(segment, 6, wishes);
      }
      case PlacementEvent.Hit(List<? extends SegmentView> path) ->
          path.forEach(each -> wish(each, 4, wishes));
      case PlacementEvent.Profiled(SegmentView segment) -> wish(segment, 2, wishes);
      case PlacementEvent.Split(SegmentView upper, SegmentView lower) -> stored.put(upper.id(), upper);
      case PlacementEvent.Gone(SegmentView segment) -> stored.remove(segment.id());
      default -> {
      }
    }
    return wishes;
  }

  private void wish(SegmentView segment, int oneIn, List<Move> wishes) {
    if (!calm && random.nextInt(oneIn) == 0) {
      int from = random.nextInt(tiers);
      if (segment.chunksIn(from) > 0) {
        wishes.add(droppable(segment, from) && random.nextInt(6) == 0 ? drop(segment, from)
            : new Move.Transfer(segment, from, new Placement(random.nextInt(tiers), anyEncoding()),
                random.nextBoolean()));
      }
    }
  }

  private boolean droppable(SegmentView segment, int tier) {
    return drops && (!segment.hasChildren() || segment.chunksOnlyIn(tier) == 0);
  }

  private Move drop(SegmentView segment, int tier) {
    Set<VariantClass> classes = EnumSet.allOf(VariantClass.class);
    if (!calm && random.nextInt(4) == 0) {
      classes.remove(random.nextBoolean() ? VariantClass.FULL : VariantClass.SERVING);
    }
    return new Move.Drop(segment, tier, classes);
  }

  @Override
  public List<Move> plan(int tier, long bytes, long nowNanos) {
    List<SegmentView> order = new ArrayList<>(stored.values());
    List<Move> moves = new ArrayList<>();
    long freed = 0;
    while (!order.isEmpty() && freed < bytes) {
      SegmentView segment = order.remove(random.nextInt(order.size()));
      if (!segment.busy() && segment.chunksIn(tier) > 0) {
        Move move = freeing(segment, tier);
        if (move != null) {
          moves.add(move);
          freed += segment.bytesIn(tier);
        }
      }
    }
    return moves;
  }

  private Move freeing(SegmentView segment, int tier) {
    if (!calm && random.nextInt(3) == 0) {
      return new Move.Transfer(segment, tier, new Placement(tier, anyEncoding()), random.nextInt(4) == 0);
    }
    if (droppable(segment, tier) && (calm || random.nextBoolean())) {
      return drop(segment, tier);
    }
    return tier + 1 == tiers ? null
        : new Move.Transfer(segment, tier,
            new Placement(tier + 1 + random.nextInt(tiers - tier - 1), anyEncoding()), false);
  }

  @Override
  public Encoding persistAs(SegmentView segment, int tier) {
    return anyEncoding();
  }
}
