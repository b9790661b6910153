package io.kvcache.internal.engine;

import io.kvcache.ChunkKey;
import io.kvcache.internal.engine.Recovery.Recovered;
import io.kvcache.internal.frame.EntryNote;
import io.kvcache.internal.tree.Position;
import io.kvcache.internal.tree.PrefixTree;
import io.kvcache.internal.tree.Segment;
import io.kvcache.internal.tree.Stored;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.Move;
import io.kvcache.spi.Placement;
import io.kvcache.spi.PlacementEvent;
import io.kvcache.spi.PlacementPolicy;
import io.kvcache.spi.VariantClass;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Function;
import java.util.function.LongSupplier;
import java.util.function.Predicate;
import java.util.function.Supplier;

/**
 * What is stored where: the prefix tree, the policy, and the reservations in flight, under one lock that is
 * never held over I/O. Every method is one atomic step.
 */
final class Inventory {
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final PrefixTree tree;
  private final PlacementPolicy policy;
  private final LongSupplier nanoTime;
  private final List<TierHandle> tiers;
  private final Map<ChunkKey, Object> inFlight = new HashMap<>();
  /** Chunks that a move is copying. */
  private final Set<ChunkKey> copying = new HashSet<>();
  /** What moves under way may yet store of chunks that were removed meanwhile. */
  private final Set<EntryId> unsettled = new HashSet<>();
  /** What the policy wants done at leisure, in the order it said so; taken by the migrator. */
  private final Set<Move> wishes = new LinkedHashSet<>();
  private long changes;

  /**
   * Nothing stored yet.
   *
   * @param tiers told of every entry that leaves the tree, before anyone can store it again
   */
  Inventory(int maxSegmentChunks, long halfLifeNanos, PlacementPolicy policy, LongSupplier nanoTime,
      List<TierHandle> tiers) {
    this.tiers = tiers;
    this.tree = new PrefixTree(maxSegmentChunks, halfLifeNanos, this::tell);
    this.policy = policy;
    this.nanoTime = nanoTime;
  }

  private void tell(PlacementEvent event) {
    wishes.addAll(policy.on(event, nanoTime.getAsLong()));
  }

  private <T> T locked(Supplier<T> step) {
    lock.lock();
    try {
      return step.get();
    } finally {
      lock.unlock();
    }
  }

  /** One chunk of a leased prefix, and the entry to read it from. */
  record Found(Position position, ChunkKey key, Stored stored) {}

  /**
   * What a look-up found.
   *
   * @param complete false when more keys are needed to tell
   * @param pending whether the chunk behind the last one is being stored
   */
  record Lookup(List<Found> chunks, boolean complete, boolean pending) {}

  /**
   * Looks the longest usable prefix up. When {@code keys} do not suffice to tell, nothing is held.
   *
   * @param more whether there are more keys than these
   * @param usable whether an entry will do; of several the one in the fastest tier is taken
   */
  Lookup lookup(ChunkKey root, List<ChunkKey> keys, boolean more, Predicate<Stored> usable) {
    return locked(() -> {
      List<Position> path = tree.match(root, keys);
      if (more && path.size() == keys.size()) {
        return new Lookup(List.of(), false, false);
      }
      List<Found> chunks = new ArrayList<>(path.size());
      for (Position position : path) {
        Stored best = best(position, usable);
        if (best == null) {
          break;
        }
        chunks.add(new Found(position, keys.get(chunks.size()), best));
      }
      if (!chunks.isEmpty()) {
        use(chunks);
      }
      boolean pending = chunks.size() < keys.size() && inFlight.containsKey(keys.get(chunks.size()));
      return new Lookup(chunks, true, pending);
    });
  }

  private static Stored best(Position position, Predicate<Stored> usable) {
    Stored best = null;
    for (Stored stored : position.stored()) {
      if ((best == null || stored.tier() < best.tier()) && usable.test(stored)) {
        best = stored;
      }
    }
    return best;
  }

  private void use(List<Found> chunks) {
    Set<Segment> path = new LinkedHashSet<>();
    for (Found found : chunks) {
      path.add(found.position().segment());
    }
    long now = nanoTime.getAsLong();
    path.forEach(segment -> segment.use(now));
    tree.hold(chunks.getLast().position().segment(), 1);
    tell(new PlacementEvent.Hit(List.copyOf(path)));
  }

  /** Lets go of what a look-up or a claim held. */
  void release(Segment last) {
    locked(() -> {
      tree.hold(last, -1);
      return null;
    });
  }

  /**
   * A number that grows with every change someone may wait for; see {@link #awaitChange}.
   */
  long changes() {
    return locked(() -> changes);
  }

  /** Waits for a change after {@code seen}; false when the time is over first. */
  boolean awaitChange(long seen, long nanos) {
    lock.lock();
    try {
      long left = nanos;
      while (changes == seen && left > 0) {
        left = changed.awaitNanos(left);
      }
      return changes != seen;
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      return false;
    } finally {
      lock.unlock();
    }
  }

  private void signal() {
    changes++;
    changed.signalAll();
  }

  /**
   * What a claim for storing got.
   *
   * @param first index of the first chunk to store
   * @param missing for each chunk from there on, whether it has to be stored
   * @param held what keeps the prefix in place; null at the start of a context
   * @param placement where the chunks go; empty when the policy declines
   */
  record Claim(int first, boolean[] missing, Segment held, Optional<Placement> placement) {}

  /**
   * Claims the chunks of a prompt that are not stored, up to one that someone else is storing.
   *
   * @param owner who claims
   * @param enough whether an entry makes storing the chunk again needless
   */
  Claim claim(ChunkKey root, List<ChunkKey> keys, Object owner, Predicate<Stored> enough) {
    return locked(() -> {
      List<Position> path = tree.match(root, keys);
      int first = 0;
      while (first < path.size() && best(path.get(first), enough) != null) {
        first++;
      }
      int end = first;
      while (end < keys.size() && !inFlight.containsKey(keys.get(end))
          && !(copying.contains(keys.get(end)) && lacks(path, end, enough))) {
        end++;
      }
      boolean[] missing = new boolean[end - first];
      for (int chunk = first; chunk < end; chunk++) {
        missing[chunk - first] = lacks(path, chunk, enough);
      }
      Segment parent = first == 0 ? null : path.get(first - 1).segment();
      Optional<Placement> placement =
          end == first ? Optional.empty() : policy.admit(parent, end - first, nanoTime.getAsLong());
      if (placement.isPresent()) {
        keys.subList(first, end).forEach(key -> inFlight.put(key, owner));
        if (parent != null) {
          tree.hold(parent, 1);
        }
      }
      return new Claim(first, missing, parent, placement);
    });
  }

  private static boolean lacks(List<Position> path, int chunk, Predicate<Stored> enough) {
    return chunk >= path.size() || best(path.get(chunk), enough) == null;
  }

  /**
   * Says that a chunk is about to be copied; no reservation may claim to store it until {@link #endCopy}. Of two that
   * store the same entry the tree would name one and the tier hold the other.
   *
   * @return false when a reservation is storing it, and it must not be copied
   */
  boolean beginCopy(ChunkKey key) {
    return locked(() -> !inFlight.containsKey(key) && copying.add(key));
  }

  /** Ends what {@link #beginCopy} began. */
  void endCopy(ChunkKey key) {
    locked(() -> {
      copying.remove(key);
      signal();
      return null;
    });
  }

  /** Ends a claim, whatever became of it. */
  void unclaim(List<ChunkKey> keys, Segment held) {
    locked(() -> {
      keys.forEach(inFlight::remove);
      if (held != null) {
        tree.hold(held, -1);
      }
      signal();
      return null;
    });
  }

  /**
   * Makes stored chunks visible, all in one step.
   *
   * @param keys of the whole context up to the last of them
   * @param first index of the first chunk stored
   * @param stored for each chunk from there on its entry, or null where none was stored
   * @param held the segment before {@code first}
   * @return false when the prefix was removed meanwhile
   */
  boolean publish(ChunkKey root, List<ChunkKey> keys, int first, List<Stored> stored, Segment held) {
    return locked(() -> {
      if (held != null && held.detached()) {
        return false;
      }
      Stored example = stored.stream().filter(entry -> entry != null).findFirst().orElseThrow();
      Segment known = null;
      List<Position> path = tree.ensure(root, keys, leaf -> like(leaf, example));
      long now = nanoTime.getAsLong();
      for (int index = 0; index < stored.size(); index++) {
        if (stored.get(index) != null) {
          Position position = path.get(first + index);
          if (position.segment() != known) {
            known = position.segment();
            known.store(now);
          }
          tree.place(position, stored.get(index));
        }
      }
      signal();
      return true;
    });
  }

  /** A leaf takes further chunks when its last one is stored as they are. */
  private static boolean like(Segment leaf, Stored stored) {
    return new Position(leaf, leaf.firstChunk() + leaf.chunks() - 1).stored().stream()
        .anyMatch(entry -> entry.tier() == stored.tier() && entry.codec() == stored.codec());
  }

  /** Records that a migration put an entry in place; false when the chunk was removed meanwhile. */
  boolean place(Position position, Stored stored) {
    return locked(() -> {
      if (position.segment().detached()) {
        return false;
      }
      tree.place(position, stored);
      signal();
      return true;
    });
  }

  /**
   * Forgets an entry that turned out to be lost or damaged, which is then to be removed from its tier.
   *
   * @return false when there is nothing to forget: it was removed or replaced before, or a reservation that
   *     may be about to replace it is open; if that is abandoned, the next reader finds the damage again
   */
  boolean displace(Position position, Stored stored) {
    return locked(() -> {
      ChunkKey key = position.key();
      if (position.segment().detached() || inFlight.containsKey(key) || !position.stored().contains(stored)) {
        return false;
      }
      tree.displace(position, stored.tier(), stored.codec(), stored.generation());
      tiers.get(stored.tier()).departs(new EntryId(key, stored.variantClass()));
      return true;
    });
  }

  /** Where one chunk of a segment being moved is. */
  record Resident(Position position, ChunkKey root, ChunkKey previous, ChunkKey key, List<Stored> stored) {}

  /**
   * Marks a segment as being moved.
   *
   * @return its chunks from the first on; empty when it is gone or being moved already
   */
  List<Resident> beginMove(Segment segment) {
    return locked(() -> {
      if (segment.detached() || segment.migrating()) {
        return List.<Resident>of();
      }
      List<Resident> chunks = residents(segment);
      tree.markMigrating(segment, segment.firstChunk(), true);
      return chunks;
    });
  }

  private List<Resident> residents(Segment segment) {
    List<Resident> chunks = new ArrayList<>(segment.chunks());
    for (int index = 0; index < segment.chunks(); index++) {
      Position position = new Position(segment, segment.firstChunk() + index);
      ChunkKey previous = index > 0 ? segment.key(index - 1) : segment.previous();
      chunks.add(new Resident(position, segment.root(), previous, segment.key(index), position.stored()));
    }
    return chunks;
  }

  /**
   * Ends a move begun with {@link #beginMove}.
   *
   * @param chunks what that returned
   * @return entries the move may have stored of chunks that were removed meanwhile; their removal from every tier
   *     is promised
   */
  List<EntryId> endMove(Segment segment, List<Resident> chunks) {
    return locked(() -> {
      tree.markMigrating(segment, chunks.getFirst().position().chunk(), false);
      List<EntryId> removed = new ArrayList<>();
      for (Resident chunk : chunks) {
        for (VariantClass variantClass : VariantClass.values()) {
          EntryId id = new EntryId(chunk.key(), variantClass);
          if (unsettled.remove(id)) {
            removed.add(id);
          }
        }
      }
      signal();
      return removed;
    });
  }

  /**
   * Takes the chunks of a segment out of a tier, unless someone holds it.
   *
   * @param only the chunks to take; those that are not there are passed over
   * @return the entries to remove from the tier
   */
  List<EntryId> vacate(List<Resident> only, int tier, boolean evenMigrating) {
    return locked(() -> {
      List<EntryId> ids = new ArrayList<>();
      for (Resident chunk : only) {
        Segment segment = chunk.position().segment();
        boolean free = !segment.detached() && !segment.leased() && (evenMigrating || !segment.migrating());
        for (Stored stored : free ? chunk.position().stored() : List.<Stored>of()) {
          if (stored.tier() == tier) {
            tree.displace(chunk.position(), tier, stored.codec(), stored.generation());
            EntryId id = new EntryId(chunk.key(), stored.variantClass());
            tiers.get(tier).departs(id);
            ids.add(id);
          }
        }
      }
      signal();
      return ids;
    });
  }

  /** As {@link #vacate} for all chunks, unless the segment is gone or contexts go on behind it. */
  List<EntryId> vacateLeaf(Segment segment, int tier) {
    return locked(() -> segment.detached() || segment.hasChildren()
        ? List.<EntryId>of()
        : vacate(residents(segment), tier, false));
  }

  /**
   * The policy's plan to free room, as steps that can be taken now.
   *
   * @param usedBefore only of segments last used before this time
   */
  List<Move> plan(int tier, long bytes, long usedBefore) {
    return locked(() -> policy.plan(tier, bytes, nanoTime.getAsLong()).stream()
        .filter(move -> move.segment().lastUseNanos() < usedBefore)
        .toList());
  }

  /** Has everyone who waits for a change look again. */
  void wakeAll() {
    locked(() -> {
      signal();
      return null;
    });
  }

  /** The chunks of a segment, where it is not gone. */
  List<Resident> residentsOf(Segment segment) {
    return locked(() -> segment.detached() ? List.<Resident>of() : residents(segment));
  }

  /** What the policy wants done at leisure; each wish is given once. */
  List<Move> takeWishes() {
    return locked(() -> {
      List<Move> taken = List.copyOf(wishes);
      wishes.clear();
      return taken;
    });
  }

  boolean wishesWaiting() {
    return locked(() -> !wishes.isEmpty());
  }

  /** A wish for a prefix in the fastest tier, as a hit would bring about. */
  void wishFor(ChunkKey root, List<ChunkKey> keys) {
    locked(() -> {
      Set<Segment> path = new LinkedHashSet<>();
      tree.match(root, keys).forEach(position -> path.add(position.segment()));
      if (!path.isEmpty()) {
        tell(new PlacementEvent.Hit(List.copyOf(path)));
      }
      return null;
    });
  }

  /** Entries by tier that have left the tree and are to be removed, and the chunks they were of. */
  record Removed(int chunks, Map<Integer, List<EntryId>> entries) {}

  /** Removes a context; see {@link io.kvcache.KvCache#remove}. */
  Removed removeContext(ChunkKey root, List<ChunkKey> keys) {
    return locked(() -> {
      List<Position> path = tree.match(root, keys);
      List<Segment> segments = new ArrayList<>(tree.detachOrphans(root, keys));
      if (!path.isEmpty() && (path.size() == keys.size() || !tree.continues(path.getLast()))) {
        int from = path.size() - 1;
        while (from > 0 && !tree.branchesBehind(path.get(from - 1))) {
          from--;
        }
        segments.addAll(tree.detachFrom(path.get(from)));
      }
      return removed(segments);
    });
  }

  /** Removes everything of a namespace. */
  Removed removeNamespace(ChunkKey root) {
    return locked(() -> removed(tree.detachNamespace(root)));
  }

  private Removed removed(List<Segment> segments) {
    Map<Integer, List<EntryId>> entries = new HashMap<>();
    int chunks = 0;
    for (Segment segment : segments) {
      for (Resident chunk : residents(segment)) {
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
    signal();
    return new Removed(chunks, entries);
  }

  /** A migration may be about to store a chunk that was just removed; where, only it knows. */
  private void promiseUnsettled(ChunkKey key) {
    for (VariantClass variantClass : VariantClass.values()) {
      EntryId id = new EntryId(key, variantClass);
      unsettled.add(id);
      tiers.forEach(tier -> tier.departs(id));
    }
  }

  /** Something computed from all segments, a parent before its children. */
  <T> List<T> collect(Function<Segment, T> each) {
    return locked(() -> {
      List<T> all = new ArrayList<>();
      tree.forEach(segment -> all.add(each.apply(segment)));
      return all;
    });
  }

  /** What is kept in the tier's index about an entry of a chunk. */
  EntryNote note(Resident chunk, Stored stored, long nowMillis) {
    return locked(() -> {
      Segment segment = chunk.position().segment();
      long idleNanos = nanoTime.getAsLong() - segment.lastUseNanos();
      return new EntryNote(chunk.root(), chunk.previous(), chunk.position().chunk(), stored.generation(),
          stored.codec(), stored.bytes(), nowMillis - TimeUnit.NANOSECONDS.toMillis(idleNanos),
          segment.frequency(segment.lastUseNanos()));
    });
  }

  /** How the policy wants a segment encoded in a durable tier. */
  int persistAs(Segment segment, int tier) {
    return locked(() -> policy.persistAs(segment, tier));
  }

  int segments() {
    return locked(tree::segments);
  }

  long chunks() {
    return locked(tree::chunks);
  }

  /** Rebuilds the tree from what durable tiers hold; called before anything else. */
  void restore(List<Recovered> recovered) {
    locked(() -> {
      new Recovery(tree, nanoTime.getAsLong()).restore(recovered);
      return null;
    });
  }
}
