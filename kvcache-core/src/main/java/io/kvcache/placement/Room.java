package io.kvcache.placement;

import io.kvcache.spi.PlacementPolicy.TierInfo;
import java.util.ArrayList;
import java.util.List;

/**
 * How full the tiers are and what room in them costs: the least loss for which it is made there, which is the key at
 * the top of the tier's heap. So the recursion of EvicPress (4.4), where a move overfills the next tier and something
 * has to go from there in turn, is priced in O(1); it is carried out when the cache asks for that room.
 */
final class Room {
  /** A tier this full is about to be relieved; what goes there displaces something. */
  private static final double FULL_SHARE = 0.9;
  /** Stands for room that nothing can be moved to make: worse than any loss, but better than nothing. */
  private static final double UNAFFORDABLE = 1e100;

  /** Payments after which their average begins to forget. */
  private static final int MEMORY = 16;

  private final List<TierInfo> tiers;
  private final boolean perByte;
  private final boolean remembers;
  final List<IndexedHeap> heaps = new ArrayList<>();
  /** What is taken of each tier, when last looked. */
  private final long[] used;
  /** What a byte of room cost of late, in uses of the time; and over how many times, up to a limit. */
  private final double[] paid;
  private final int[] payments;

  Room(List<TierInfo> tiers, boolean perByte, boolean remembers) {
    this.tiers = tiers;
    this.perByte = perByte;
    this.remembers = remembers;
    this.used = new long[tiers.size()];
    this.paid = new double[tiers.size()];
    this.payments = new int[tiers.size()];
    for (int tier = 0; tier < tiers.size(); tier++) {
      heaps.add(new IndexedHeap(tier));
    }
  }

  int tiers() {
    return used.length;
  }

  String name(int tier) {
    return tiers.get(tier).name();
  }

  /** Looks how full the tiers are. Segments' bytes do not say: a tier has overheads of its own. */
  void look() {
    for (int tier = 0; tier < used.length; tier++) {
      used[tier] = tiers.get(tier).usedBytes().getAsLong();
    }
  }

  /** Whether a tier could ever hold so much. */
  boolean canHold(int tier, double bytes) {
    return bytes <= tiers.get(tier).capacityBytes();
  }

  /** Whether so many bytes more would have others displaced. */
  boolean full(int tier, double bytes) {
    long capacity = tiers.get(tier).capacityBytes();
    return capacity != Long.MAX_VALUE && used[tier] + bytes > capacity * FULL_SHARE;
  }

  /** What so many bytes more in a tier cost, in the units of the heaps' keys times bytes. */
  double cost(int tier, double bytes) {
    if (bytes <= 0 || !full(tier, bytes)) {
      return 0;
    }
    double key = heaps.get(tier).topKey();
    if (key == Double.POSITIVE_INFINITY) {
      return UNAFFORDABLE;
    }
    return Math.max(0, perByte ? key * bytes : key);
  }

  /** Takes note of what a byte cost that was freed. */
  void pay(int tier, double lossPerByte) {
    if (perByte && remembers) {
      payments[tier] = Math.min(payments[tier] + 1, MEMORY);
      paid[tier] += (lossPerByte - paid[tier]) / payments[tier];
    }
  }

  /** What a byte of room costs on average, in uses at present; 0 before any was made. */
  double price(int tier) {
    return paid[tier];
  }
}
