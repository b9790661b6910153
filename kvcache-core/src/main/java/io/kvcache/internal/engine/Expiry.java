package io.kvcache.internal.engine;

import io.kvcache.internal.tree.Position;
import io.kvcache.internal.tree.PrefixTree;
import io.kvcache.internal.tree.Segment;
import io.kvcache.spi.EntryId;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Takes what has expired out of the tree, and says what is then to be removed from the tiers. Nobody is given what has
 * expired in any case; this is about room, and about what is stored anew. Under the inventory's lock.
 */
final class Expiry {
  /** So many segments are looked at in one step, so that it is never long. */
  private static final int SWEPT_AT_ONCE = 16;

  private final Monitor monitor;
  private final PrefixTree tree;
  private final Claims claims;
  private final List<TierHandle> tiers;
  /** Entries out of the tree, by tier, whose removal from there is promised. */
  private final Map<Integer, List<EntryId>> leaving = new HashMap<>();

  Expiry(Monitor monitor, PrefixTree tree, Claims claims, List<TierHandle> tiers) {
    this.monitor = monitor;
    this.tree = tree;
    this.claims = claims;
    this.tiers = tiers;
  }

  /** Expires what is over in a segment; whether anything was. What a claim is about to replace stays until it has. */
  boolean expire(Segment segment, long nowMillis) {
    return !segment.detached() && segment.expiryMillis() <= nowMillis
        && tree.expire(segment, nowMillis, claims::contains, (tier, id) -> {
          tiers.get(tier).departs(id);
          leaving.computeIfAbsent(tier, index -> new ArrayList<>()).add(id);
        }) > 0;
  }

  /** Expires what is over on a path; whether anything was, and the path may lead less far. */
  boolean expire(List<Position> path, long nowMillis) {
    Set<Segment> segments = new LinkedHashSet<>();
    path.forEach(position -> segments.add(position.segment()));
    boolean any = false;
    for (Segment segment : segments) {
      any |= expire(segment, nowMillis);
    }
    return any;
  }

  /** Expires some of what is over and nobody holds; whether there was any. */
  boolean sweep(long nowMillis) {
    return monitor.locked(() -> {
      boolean any = false;
      for (Segment segment : tree.expired(nowMillis, SWEPT_AT_ONCE)) {
        any |= expire(segment, nowMillis);
      }
      return any;
    });
  }

  /** Whether there is anything to do, of which the migrator should know. */
  boolean waiting(long nowMillis) {
    return monitor.locked(() -> !leaving.isEmpty() || tree.anyExpired(nowMillis));
  }

  /** The entries to remove from a tier; each is given once. */
  List<EntryId> take(int tier) {
    return monitor.locked(() -> {
      List<EntryId> ids = leaving.remove(tier);
      return ids == null ? List.of() : ids;
    });
  }
}
