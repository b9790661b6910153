package io.kvcache.internal.engine;

import io.kvcache.ChunkKey;
import io.kvcache.internal.engine.Inventory.Resident;
import io.kvcache.internal.tree.Position;
import io.kvcache.internal.tree.PrefixTree;
import io.kvcache.internal.tree.Segment;
import io.kvcache.internal.tree.Stored;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.VariantClass;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BooleanSupplier;
import java.util.function.Predicate;

/**
 * Takes out of the tree what callers want gone, with what claims and moves under way may yet store of it. Under
 * the inventory's lock.
 */
final class Removals {
  private final Monitor monitor;
  private final PrefixTree tree;
  private final Claims claims;
  private final List<TierHandle> tiers;
  /** What moves under way may yet store of chunks that were removed meanwhile. */
  private final Set<EntryId> unsettled = new HashSet<>();

  Removals(Monitor monitor, PrefixTree tree, Claims claims, List<TierHandle> tiers) {
    this.monitor = monitor;
    this.tree = tree;
    this.claims = claims;
    this.tiers = tiers;
  }

  /**
   * What was removed from the tree.
   *
   * @param entries by tier, to be removed there
   * @param cancelled claims that may yet commit entries, which they then take back; see {@link #awaitEnd}
   */
  record Removed(int chunks, Map<Integer, List<EntryId>> entries, List<Claim> cancelled) {}

  /** Removes a context; see {@link io.kvcache.KvCache#remove}. */
  Removed removeContext(ChunkKey root, List<ChunkKey> keys) {
    return monitor.locked(() -> {
      List<Position> path = tree.match(root, keys);
      List<Segment> segments = new ArrayList<>(tree.detachOrphans(root, keys));
      if (!path.isEmpty() && (path.size() == keys.size() || !tree.continues(path.getLast()))) {
        int from = path.size() - 1;
        while (from > 0 && !tree.branchesBehind(path.get(from - 1))) {
          from--;
        }
        segments.addAll(tree.detachFrom(path.get(from)));
      }
      return removed(segments, claim -> claim.root().equals(root) && claim.inLineWith(keys));
    });
  }

  /** Removes everything of a namespace. */
  Removed removeNamespace(ChunkKey root) {
    return monitor.locked(() -> removed(tree.detachNamespace(root), claim -> claim.root().equals(root)));
  }

  private Removed removed(List<Segment> segments, Predicate<Claim> claimed) {
    Map<Integer, List<EntryId>> entries = new HashMap<>();
    int chunks = 0;
    for (Segment segment : segments) {
      for (Resident chunk : Inventory.residents(segment)) {
        if (segment.migrating()) {
          promiseUnsettled(chunk.key());
        }
        for (Stored stored : chunk.stored()) {
          EntryId id = new EntryId(chunk.key(), stored.variantClass());
          tiers.get(stored.tier()).departs(id);
          entries.computeIfAbsent(stored.tier(), tier -> new ArrayList<>()).add(id);
        }
      }
      chunks += segment.chunks();
    }
    List<Claim> cancelled = claims.cancel(claimed);
    monitor.signal();
    return new Removed(chunks, entries, cancelled);
  }

  /** Waits until claims that were cancelled while they committed are over; not after the cache was closed. */
  void awaitEnd(List<Claim> cancelled, BooleanSupplier closed) {
    monitor.awaitUntil(() -> closed.getAsBoolean() || !claims.committing(cancelled));
  }

  /** A migration may be about to store a chunk that was just removed; where, only it knows. */
  private void promiseUnsettled(ChunkKey key) {
    for (VariantClass variantClass : VariantClass.values()) {
      EntryId id = new EntryId(key, variantClass);
      unsettled.add(id);
      tiers.forEach(tier -> tier.departs(id));
    }
  }

  /** Of the chunks of a move that is over, the entries it may have stored though they were removed meanwhile. */
  List<EntryId> settle(List<Resident> chunks) {
    List<EntryId> removed = new ArrayList<>();
    for (Resident chunk : chunks) {
      for (VariantClass variantClass : VariantClass.values()) {
        EntryId id = new EntryId(chunk.key(), variantClass);
        if (unsettled.remove(id)) {
          removed.add(id);
        }
      }
    }
    return removed;
  }
}
