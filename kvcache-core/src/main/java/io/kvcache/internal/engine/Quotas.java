package io.kvcache.internal.engine;

import io.kvcache.ChunkKey;
import io.kvcache.internal.tree.Accounts;
import io.kvcache.internal.tree.Position;
import io.kvcache.internal.tree.PrefixTree;
import io.kvcache.internal.tree.Segment;
import io.kvcache.internal.tree.Stored;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Sees to it that no namespace takes more of a tier than it may: whoever stores something charges it first, and what a
 * namespace has and what is charged are never more than its quota together. Under the inventory's lock.
 */
final class Quotas {
  /**
   * A namespace that has wanted more than its quota is relieved in the background from this share on, as a full tier
   * is, so that it is not refused again and again; one that never has may fill it.
   */
  private static final double HIGH_WATERMARK = 0.95;
  private static final double LOW_WATERMARK = 0.90;
  /** A segment takes at most this share of its namespace's quota, so that what makes room is never much of it. */
  private static final long SEGMENT_SHARE = 8;
  private static final Comparator<Candidate> LEAST_RECENT_AND_DEEPEST_FIRST =
      Comparator.comparingLong(Candidate::lastUse)
          .thenComparing(Comparator.comparingInt(Candidate::firstChunk).reversed())
          .thenComparingLong(candidate -> candidate.segment.id());

  private final Monitor monitor;
  private final PrefixTree tree;
  private final Accounts accounts;
  /** How much room namespaces lack, for the migrator to see to. */
  private final Map<Place, Long> lacking = new LinkedHashMap<>();

  Quotas(Monitor monitor, PrefixTree tree) {
    this.monitor = monitor;
    this.tree = tree;
    this.accounts = tree.accounts();
  }

  /** A tier as far as it is a namespace's. */
  record Place(ChunkKey root, int tier) {}

  private record Candidate(Segment segment, long lastUse, int firstChunk) {}

  /** Bytes charged to a namespace for what is not stored yet. */
  final class Charge {
    private final Place place;
    private long bytes;

    private Charge(Place place, long bytes) {
      this.place = place;
      this.bytes = bytes;
    }

    /** What it was for is stored, or never will be. Idempotent. */
    void release() {
      monitor.locked(() -> {
        accounts.claimed(place.root, place.tier, -bytes);
        bytes = 0;
        return null;
      });
    }
  }

  /**
   * Takes note of a namespace's quota.
   *
   * @return whether it turns out to have more, after a restart or since it was more: then room is wanted
   */
  boolean limit(ChunkKey root, long quotaBytes, int tiers) {
    return monitor.locked(() -> {
      boolean changes = accounts.limit(root, quotaBytes);
      boolean exceeded = false;
      for (int tier = 0; changes && tier < tiers; tier++) {
        if (accounts.room(root, tier) < 0) {
          lacking.putIfAbsent(new Place(root, tier), 0L);
          exceeded = true;
        }
      }
      return exceeded;
    });
  }

  /**
   * Charges what is about to be stored; null where the quota has no room for it.
   *
   * @param quotaBytes the namespace's quota
   */
  Charge charge(Place place, long bytes, long quotaBytes) {
    return monitor.locked(() -> {
      // First, for the account may only come to be by it; nobody sees what is between.
      accounts.claimed(place.root, place.tier, bytes);
      accounts.limit(place.root, quotaBytes);
      return charged(place, bytes, 0);
    });
  }

  /**
   * As {@link #charge}, for what is already there in another place or encoding.
   *
   * @param replacedBytes what the namespace has there that is forgotten before this is stored
   */
  Charge chargeMove(Place place, long bytes, long replacedBytes) {
    return monitor.locked(() -> {
      accounts.claimed(place.root, place.tier, bytes);
      return charged(place, bytes, replacedBytes);
    });
  }

  private Charge charged(Place place, long bytes, long replacedBytes) {
    long quota = accounts.quotaBytes(place.root);
    long room = accounts.room(place.root, place.tier);
    if (room + Math.min(replacedBytes, Long.MAX_VALUE - Math.max(0, room)) < 0) {
      accounts.claimed(place.root, place.tier, -bytes);
      return null;
    }
    if (accounts.pressed(place.root) && quota < Long.MAX_VALUE
        && room < quota - (long) (quota * HIGH_WATERMARK)) {
      lacking.putIfAbsent(place, 0L);
    }
    return new Charge(place, bytes);
  }

  /** Has a namespace's own contexts make room for so many bytes that {@link #charge} refused. */
  void want(Place place, long bytes) {
    monitor.locked(() -> {
      accounts.press(place.root);
      return lacking.merge(place, bytes, Math::max);
    });
  }

  /** Most chunks that a namespace may have in one segment, of so many bytes each. */
  int segmentChunks(ChunkKey root, long chunkBytes) {
    return Math.clamp(accounts.quotaBytes(root) / SEGMENT_SHARE / chunkBytes, 1, Segment.MAX_CHUNKS);
  }

  /** Whether a quota would do for so many bytes more if the namespace had nothing there but the start of a context. */
  boolean couldHold(Place place, long bytes, long quotaBytes, List<ChunkKey> start) {
    return monitor.locked(() -> {
      long held = 0;
      for (Position position : tree.match(place.root, start)) {
        for (Stored stored : position.stored()) {
          held += stored.tier() == place.tier ? stored.bytes() : 0;
        }
      }
      return bytes <= quotaBytes - held;
    });
  }

  /**
   * Where namespaces lack room, and how much there is to be: for what was refused, and in any case so much that the
   * next few find some without anyone having to look for it. Each is given once.
   */
  Map<Place, Long> takeLacking() {
    return monitor.locked(() -> {
      Map<Place, Long> taken = new LinkedHashMap<>();
      lacking.forEach((place, bytes) -> {
        long quota = accounts.quotaBytes(place.root);
        if (quota < Long.MAX_VALUE) {
          taken.put(place, Math.max(bytes, quota - (long) (quota * LOW_WATERMARK)));
        }
      });
      lacking.clear();
      return taken;
    });
  }

  /** What a namespace may still take in a tier; below 0 where it has more than it may. */
  long room(Place place) {
    return monitor.locked(() -> accounts.room(place.root, place.tier));
  }

  /**
   * What a namespace has in a tier and nobody holds, in the order in which it is to go: a segment comes behind those
   * that go on from it, since it was in use whenever they were.
   *
   * @param usedBefore only what was last used before this time
   */
  List<Segment> leastRecentlyUsed(Place place, long usedBefore) {
    List<Candidate> candidates = monitor.locked(() -> {
      List<Candidate> all = new ArrayList<>();
      tree.forEach(place.root, segment -> {
        if (!segment.busy() && segment.lastUseNanos() < usedBefore && segment.chunksIn(place.tier) > 0) {
          all.add(new Candidate(segment, segment.lastUseNanos(), segment.firstChunk()));
        }
      });
      return all;
    });
    candidates.sort(LEAST_RECENT_AND_DEEPEST_FIRST);
    return candidates.stream().map(Candidate::segment).toList();
  }
}
