package io.kvcache.placement;

import io.kvcache.spi.Placement;
import io.kvcache.spi.SegmentView;
import java.util.Optional;

/**
 * Finds where new KV goes: where it saves most over computing it anew, counted as one use, less what its room costs
 * those that are there. Writing has to pay as well, by the share of its namespace that was ever used again.
 *
 * <p>Where it is to be stored exact at first, it is weighed as what it will be made once it was measured: charged for
 * the room of exact bytes it would hardly be worth its place among others that are compressed already.
 */
final class Admission {
  private static final int NONE = -1;

  private final EncodingTable table;
  private final Delays delays;
  private final Room room;
  private final Uses uses;
  private final double alpha;
  private final double writeCost;
  private final boolean exactFirst;
  private final boolean keepFull;

  private Space space;
  private int chunks;
  private int parentTier;
  private double now;

  Admission(EncodingTable table, Delays delays, Room room, Uses uses, double alpha, double writeCost,
      boolean exactFirst, boolean keepFull) {
    this.table = table;
    this.delays = delays;
    this.room = room;
    this.uses = uses;
    this.alpha = alpha;
    this.writeCost = writeCost;
    this.exactFirst = exactFirst;
    this.keepFull = keepFull;
  }

  /** See {@link io.kvcache.spi.PlacementPolicy#admit}. */
  Optional<Placement> of(Space itsSpace, SegmentView parent, int newChunks, long nowNanos) {
    space = itsSpace;
    chunks = newChunks;
    parentTier = parent == null ? NONE : Standing.fastest(parent);
    now = uses.now(nowNanos);
    int tier = NONE;
    int best = NONE;
    double most = delays.recomputeKnown() ? 0 : Double.NEGATIVE_INFINITY;
    for (int to = 0; to < room.tiers(); to++) {
      for (int as = 0; as < table.chosen(); as++) {
        if (allowed(as) && room.canHold(to, bytes(as)) && net(to, as) > most && pays(to, as)) {
          most = net(to, as);
          tier = to;
          best = as;
        }
      }
    }
    return tier == NONE
        ? Optional.empty()
        : Optional.of(new Placement(tier, table.encoding(exactFirst ? exact(tier) : best)));
  }

  private boolean allowed(int as) {
    return table.exact(as) || (!keepFull && space.expectsScores(table.encoding(as).dropping()));
  }

  /** The best of those that are exact. */
  private int exact(int tier) {
    int best = 0;
    for (int as = 1; as < table.chosen() && table.exact(as); as++) {
      best = net(tier, as) > net(tier, best) ? as : best;
    }
    return best;
  }

  private double net(int tier, int as) {
    return saved(tier, as) * now - room.cost(tier, bytes(as));
  }

  private double saved(int tier, int as) {
    double lost = table.exact(as)
        ? 0
        : alpha * space.expectedLoss(table.candidate(as), table.nominalLoss(as), chunks);
    return chunks * delays.recomputePerChunk() - lost - delays.slope(tier, as) * bytes(as)
        - (tier == parentTier ? 0 : delays.fixed(tier, as));
  }

  private boolean pays(int tier, int as) {
    double written = bytes(exactFirst && !table.exact(as) ? 0 : as);
    return !delays.recomputeKnown()
        || saved(tier, as) * space.reuse() > writeCost * delays.storeSeconds(tier, written);
  }

  private double bytes(int as) {
    return chunks * table.chunkBytes(as);
  }
}
