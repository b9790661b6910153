package io.kvcache.placement;

/**
 * Weighs what can be done with a segment to free room in a tier: compress it harder in place, move it to any lower
 * tier in any encoding, drop it. The best is what loses least for each byte freed (AdaptCache, and the simulator of
 * EvicPress' author), or least at all (EvicPress, Algorithm 1).
 */
final class Scoring {
  /** What to do with a segment. */
  enum Kind {
    NOTHING, DROP, DROP_FULL, IN_PLACE, MOVE
  }

  private static final int NONE = -1;

  private final EncodingTable table;
  private final Room room;
  private final boolean perByte;
  private final boolean keepFull;
  final Standing standing;

  /** The best operation found, and what it brings. */
  Kind kind;
  int toTier;
  int encoding;
  double key;
  double cost;
  double freed;
  private double weight;
  private double baseCost;
  private double baseFreed;

  Scoring(EncodingTable table, Room room, Standing standing, boolean perByte, boolean keepFull) {
    this.table = table;
    this.room = room;
    this.standing = standing;
    this.perByte = perByte;
    this.keepFull = keepFull;
  }

  /**
   * Finds the best operation for the segment at hand that frees room in a tier.
   *
   * @param frequency uses a loss counts for
   */
  void score(int tier, double frequency) {
    double counted = standing.reachable() ? frequency : 0;
    score(tier, frequency, counted * standing.present(), 0);
  }

  /** As {@link #score(int, double)}, as if an operation of this cost had freed this much already. */
  void score(int tier, double frequency, double costBefore, double freedBefore) {
    weight = standing.reachable() ? frequency : 0;
    baseCost = costBefore;
    baseFreed = freedBefore;
    kind = Kind.NOTHING;
    key = Double.POSITIVE_INFINITY;
    int only = standing.segment.chunksOnlyIn(tier);
    long bytes = standing.segment.bytesIn(tier);
    if (only == 0 || !standing.segment.hasChildren()) {
      consider(Kind.DROP, tier, NONE, standing.lossWithout(tier, false), bytes, 0);
    }
    double full = standing.bytesIn(tier, true);
    if (full > 0 && full < bytes && standing.servingIn(tier) >= standing.segment.chunksIn(tier)) {
      consider(Kind.DROP_FULL, tier, NONE, standing.lossWithout(tier, true), full, 0);
    }
    standing.findOptions(tier);
    if (standing.read[tier] > 0) {
      inPlace(tier);
    }
    if (only > 0) {
      for (int lower = tier + 1; lower < room.tiers(); lower++) {
        moves(tier, lower, bytes);
      }
    }
  }

  private void consider(Kind what, int to, int as, double lossAfter, double freedThen, double roomCost) {
    double more = freedThen - baseFreed;
    if (more <= 0) {
      return;
    }
    double costThen = weight * lossAfter + roomCost;
    double marginal = perByte ? (costThen - baseCost) / more : costThen - baseCost;
    if (marginal < key) {
      kind = what;
      toTier = to;
      encoding = as;
      key = marginal;
      cost = costThen;
      freed = freedThen;
    }
  }

  private double others(int tier) {
    return standing.present() - standing.qualityPart[tier] - standing.delayPart[tier];
  }

  private void inPlace(int tier) {
    for (int option = 0; option < standing.optionCount; option++) {
      int to = standing.options[option];
      double freedThen = freedInPlace(tier, to);
      double kept = freedThen > baseFreed ? keptBelow(tier, tier, to) : NONE;
      if (kept >= 0) {
        consider(Kind.IN_PLACE, tier, to, lossInPlace(tier, to), freedThen, kept);
      }
    }
  }

  /** What encoding it so where it is frees; negative where it cannot be done. */
  private double freedInPlace(int tier, int to) {
    // Exact bytes from elsewhere would come on top of what is here.
    boolean replaces =
        standing.optionSource == tier || (!table.exact(to) && standing.bytesIn(tier, true) == 0);
    return replaces && !standing.allIn(tier, to)
        ? standing.segment.bytesIn(tier) - standing.segment.chunksIn(tier) * standing.chunkBytes(to)
        : NONE;
  }

  private double lossInPlace(int tier, int to) {
    return others(tier) + standing.lossAt(tier, to, standing.read[tier]);
  }

  /**
   * Turns the compression just found into a harder one, as far as what that loses on top is worth the room it frees on
   * top at this price. What is pruned cannot be pruned once more, so the least step now may be the last.
   */
  void harden(int tier, double pricePerByte) {
    if (kind != Kind.IN_PLACE || table.exact(encoding) || standing.fullOutside(tier)) {
      return;
    }
    for (int option = 0; option < standing.optionCount; option++) {
      int to = standing.options[option];
      double freedThen = freedInPlace(tier, to);
      double kept = freedThen > freed ? keptBelow(tier, tier, to) : NONE;
      if (kept >= 0) {
        double costThen = weight * lossInPlace(tier, to) + kept;
        if (costThen - cost < pricePerByte * (freedThen - freed)) {
          encoding = to;
          cost = costThen;
          freed = freedThen;
        }
      }
    }
  }

  private void moves(int tier, int lower, long bytes) {
    int chunks = standing.segment.chunksIn(tier);
    double others = others(tier);
    // As it is, whatever it is.
    int asIs = standing.encodingIn(tier);
    move(tier, lower, asIs, bytes, bytes, others);
    for (int option = 0; option < standing.optionCount && standing.optionSource == tier; option++) {
      int to = standing.options[option];
      if (to != asIs) {
        move(tier, lower, to, chunks * standing.chunkBytes(to), bytes, others);
      }
    }
  }

  private void move(int tier, int lower, int to, double taken, long bytes, double others) {
    double kept = keptBelow(tier, lower, to);
    if (kept >= 0 && room.canHold(lower, taken)) {
      consider(Kind.MOVE, lower, to, others + standing.lossAt(lower, to, standing.read[tier]), bytes,
          room.cost(lower, taken) + kept);
    }
  }

  /** What the full copy costs that is to be made before; negative where one would be needed and cannot be. */
  private double keptBelow(int tier, int to, int as) {
    if (!copyNeeded(tier, as)) {
      return 0;
    }
    int keeper = keeper(to);
    return keeper == NONE ? NONE : room.cost(keeper, standing.bytesIn(tier, true));
  }

  /** Whether turning what is in a tier into this encoding would lose the last exact bytes that are to be kept. */
  boolean copyNeeded(int tier, int as) {
    return keepFull && !table.exact(as) && standing.bytesIn(tier, true) > 0 && !standing.fullOutside(tier);
  }

  /** The lowest tier below another that can hold the full copy; negative for none. */
  int keeper(int above) {
    for (int tier = room.tiers() - 1; tier > above; tier--) {
      if (room.canHold(tier, standing.segment.chunks() * standing.chunkBytes(0))) {
        return tier;
      }
    }
    return NONE;
  }
}
