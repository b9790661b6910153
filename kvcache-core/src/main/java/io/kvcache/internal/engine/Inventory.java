package io.kvcache.internal.engine;

import io.kvcache.ChunkKey;
import io.kvcache.TokenScores;
import io.kvcache.internal.engine.Quotas.Charge;
import io.kvcache.internal.engine.Recovery.Recovered;
import io.kvcache.internal.frame.EntryNote.Profile;
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
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.IntPredicate;
import java.util.function.LongSupplier;
import java.util.function.Predicate;

/**
 * What is stored where: the prefix tree, the policy, and the reservations in flight, under one lock that is
 * never held over I/O. Every method is one atomic step.
 */
final class Inventory extends Monitor {
  private final PrefixTree tree;
  private final PlacementPolicy policy;
  private final LongSupplier nanoTime;
  private final List<TierHandle> tiers;
  /** Stands for the encodings that profiles are about. */
  private final int candidates;
  private final ProfileQueue profiles;
  private final Insights insights;
  private final Claims claims = new Claims();
  private final Removals removals;
  private final Expiry expiry;
  private final Quotas quotas;
  /** Chunks that a move is copying. */
  private final Set<ChunkKey> copying = new HashSet<>();
  /** What the policy wants done at leisure, in the order it said so; taken by the migrator. */
  private final Set<Move> wishes = new LinkedHashSet<>();

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
    this.candidates = Profile.fingerprint(policy.candidates());
    this.profiles = new ProfileQueue(!policy.candidates().isEmpty());
    this.insights = new Insights(this, tree, policy, profiles, this::tell, nanoTime, tiers, candidates);
    this.removals = new Removals(this, tree, claims, tiers);
    this.expiry = new Expiry(this, tree, claims, tiers);
    this.quotas = new Quotas(this, tree);
    this.nanoTime = nanoTime;
  }

  private void tell(PlacementEvent event) {
    profiles.on(event);
    wishes.addAll(policy.on(event, nanoTime.getAsLong()));
  }

  /** Which entries will do. */
  interface Acceptance {
    /** Whether an entry will do in a path that has lost so much quality before it. */
    boolean accepts(Segment segment, Stored stored, double lostBefore);

    /** What using it adds to what the path loses. */
    double loss(Segment segment, Stored stored);
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
   * @param usable which entries will do; of several the one in the fastest tier is taken, of those an exact one
   */
  Lookup lookup(ChunkKey root, List<ChunkKey> keys, boolean more, Acceptance usable) {
    return locked(() -> {
      List<Position> path = tree.match(root, keys);
      if (more && path.size() == keys.size()) {
        return new Lookup(List.of(), false, false);
      }
      List<Found> chunks = new ArrayList<>(path.size());
      double lost = 0;
      for (Position position : path) {
        double before = lost;
        Stored best = best(position, stored -> usable.accepts(position.segment(), stored, before));
        if (best == null) {
          break;
        }
        lost += usable.loss(position.segment(), best);
        chunks.add(new Found(position, keys.get(chunks.size()), best));
      }
      if (!chunks.isEmpty()) {
        use(chunks);
      }
      boolean pending = chunks.size() < keys.size() && claims.contains(keys.get(chunks.size()));
      return new Lookup(chunks, true, pending);
    });
  }

  /** The entry in the fastest tier that will do, an exact one before another there. */
  static Stored best(Position position, Predicate<Stored> usable) {
    Stored best = null;
    for (Stored stored : position.stored()) {
      boolean better = best == null || stored.tier() < best.tier()
          || (stored.tier() == best.tier() && stored.variantClass() == VariantClass.FULL);
      if (better && usable.test(stored)) {
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
    // First, since a policy that fails must not leave anything held.
    tell(new PlacementEvent.Hit(List.copyOf(path)));
    tree.hold(chunks.getLast().position().segment(), 1);
  }

  /** What is asked about and told of segments, rather than done with them. */
  Insights insights() {
    return insights;
  }

  /** Takes out what callers want gone. */
  Removals removals() {
    return removals;
  }

  /** Takes out what has expired. */
  Expiry expiry() {
    return expiry;
  }

  /** What namespaces may take. */
  Quotas quotas() {
    return quotas;
  }

  /** Lets go of what a look-up or a claim held. */
  void release(Segment last) {
    locked(() -> {
      tree.hold(last, -1);
      return null;
    });
  }

  /**
   * Claims the chunks of a prompt that are not stored, up to one that someone else is storing.
   *
   * @param scores what the engine gives of the prompt's tokens
   * @param enough whether an entry makes storing the chunk again needless
   * @param nowMillis what has expired by then is missing, and expired here: it could not be told from what replaces it
   * @param expiryMillis when what is stored will expire; {@link Stored#NEVER}
   */
  Claim claim(ChunkKey root, List<ChunkKey> keys, TokenScores scores, Acceptance enough, long nowMillis,
      long expiryMillis) {
    return locked(() -> {
      List<Position> found = tree.match(root, keys);
      List<Position> path = expiry.expire(found, nowMillis) ? tree.match(root, keys) : found;
      IntPredicate lacks = chunk -> lacks(path, chunk, enough, nowMillis);
      int first = 0;
      while (!lacks.test(first)) {
        first++;
      }
      int end = first;
      while (end < keys.size() && !claims.contains(keys.get(end))
          && !(copying.contains(keys.get(end)) && lacks.test(end))) {
        end++;
      }
      boolean[] missing = new boolean[end - first];
      for (int chunk = first; chunk < end; chunk++) {
        missing[chunk - first] = lacks.test(chunk);
      }
      Segment parent = first == 0 ? null : path.get(first - 1).segment();
      Optional<Placement> placement =
          end == first ? Optional.empty() : policy.admit(root, parent, end - first, nanoTime.getAsLong());
      Claim claim =
          new Claim(root, List.copyOf(keys.subList(0, end)), first, missing, parent, placement, scores,
              expiryMillis);
      if (placement.isPresent()) {
        claims.add(claim);
        if (parent != null) {
          tree.hold(parent, 1);
        }
      }
      return claim;
    });
  }

  /** Says that a claim's entries are about to be committed; false when its chunks were removed meanwhile. */
  boolean beginCommit(Claim claim) {
    return locked(() -> claims.beginCommit(claim));
  }

  private static boolean lacks(List<Position> path, int chunk, Acceptance enough, long nowMillis) {
    if (chunk >= path.size()) {
      return true;
    }
    Segment segment = path.get(chunk).segment();
    return path.get(chunk).stored().stream()
        .noneMatch(stored -> !stored.expired(nowMillis) && enough.accepts(segment, stored, 0));
  }

  /**
   * Says that a chunk is about to be copied; no reservation may claim to store it until {@link #endCopy}. Of two that
   * store the same entry the tree would name one and the tier hold the other.
   *
   * @return false when a reservation is storing it, and it must not be copied
   */
  boolean beginCopy(ChunkKey key) {
    return locked(() -> !claims.contains(key) && copying.add(key));
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
  void unclaim(Claim claim) {
    locked(() -> {
      claims.end(claim);
      if (claim.held() != null) {
        tree.hold(claim.held(), -1);
      }
      signal();
      return null;
    });
  }

  /**
   * Makes stored chunks visible, all in one step.
   *
   * @param stored for each chunk claimed its entry, or null where none was stored
   * @param charge what they were charged
   * @return false when they, or the prefix, were removed meanwhile
   */
  boolean publish(Claim claim, List<Stored> stored, Charge charge) {
    return locked(() -> {
      if (claims.cancelled(claim) || (claim.held() != null && claim.held().detached())) {
        return false;
      }
      Stored example = stored.stream().filter(entry -> entry != null).findFirst().orElseThrow();
      Segment known = null;
      List<Position> path = tree.ensure(claim.root(), claim.keys(),
          quotas.segmentChunks(claim.root(), example.bytes()), leaf -> like(leaf, example));
      long now = nanoTime.getAsLong();
      for (int index = 0; index < stored.size(); index++) {
        if (stored.get(index) != null) {
          Position position = path.get(claim.first() + index);
          if (position.segment() != known) {
            known = position.segment();
            known.store(now);
            known.scored(claim.scores().methods());
            stored(known, example.tier(), claim.placement().orElseThrow());
          }
          tree.place(position, stored.get(index));
        }
      }
      charge.release();
      claims.published(claim);
      signal();
      return true;
    });
  }

  /** What drops tokens could not be applied before all were there. */
  private void stored(Segment segment, int tier, Placement placement) {
    if (placement.encoding().dropsTokens()) {
      wishes.add(new Move.Transfer(segment, tier, placement, false));
    }
  }

  /** A leaf takes further chunks when its last one is stored as they are. */
  private static boolean like(Segment leaf, Stored stored) {
    return new Position(leaf, leaf.firstChunk() + leaf.chunks() - 1).stored().stream()
        .anyMatch(entry -> entry.tier() == stored.tier() && entry.encoding().equals(stored.encoding()));
  }

  /**
   * Records that a migration put an entry in place; false when the chunk was removed meanwhile.
   *
   * @param charge what it was charged
   */
  boolean place(Position position, Stored stored, Charge charge) {
    return locked(() -> {
      if (position.segment().detached()) {
        return false;
      }
      tree.place(position, stored);
      charge.release();
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
      if (position.segment().detached() || claims.contains(key) || !has(position, stored)) {
        return false;
      }
      tree.displace(position, stored.tier(), stored.encoding(), stored.generation());
      tiers.get(stored.tier()).departs(new EntryId(key, stored.variantClass()));
      return true;
    });
  }

  private static boolean has(Position position, Stored stored) {
    return position.stored().stream().anyMatch(stored::same);
  }

  /** Where one chunk of a segment being moved is. */
  record Resident(Position position, ChunkKey root, ChunkKey previous, ChunkKey key, List<Stored> stored) {}

  /**
   * Marks a segment as being moved.
   *
   * @param nowMillis what has expired by then is not moved any more, but expired
   * @return its chunks from the first on; empty when it is gone or being moved already
   */
  List<Resident> beginMove(Segment segment, long nowMillis) {
    return locked(() -> {
      expiry.expire(segment, nowMillis);
      if (segment.detached() || segment.migrating()) {
        return List.<Resident>of();
      }
      List<Resident> chunks = residents(segment);
      tree.markMigrating(segment, segment.firstChunk(), true);
      return chunks;
    });
  }

  static List<Resident> residents(Segment segment) {
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
      List<EntryId> removed = removals.settle(chunks);
      signal();
      return removed;
    });
  }

  /**
   * Takes the chunks of a segment out of a tier, unless someone holds it.
   *
   * @param only the chunks to take; those that are not there are passed over
   * @param classes which of their variants
   * @return the entries to remove from the tier
   */
  List<EntryId> vacate(List<Resident> only, int tier, Set<VariantClass> classes, boolean evenMigrating) {
    return locked(() -> {
      List<EntryId> ids = new ArrayList<>();
      for (Resident chunk : only) {
        Segment segment = chunk.position().segment();
        boolean free = !segment.detached() && !segment.leased() && (evenMigrating || !segment.migrating());
        for (Stored stored : free ? chunk.position().stored() : List.<Stored>of()) {
          if (stored.tier() == tier && classes.contains(stored.variantClass())) {
            tree.displace(chunk.position(), tier, stored.encoding(), stored.generation());
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

  /** As {@link #vacate} for all chunks, unless the segment is gone or no more what it was chosen for. */
  List<EntryId> vacateIf(Segment segment, int tier, Set<VariantClass> classes, Predicate<Segment> still) {
    return locked(() -> segment.detached() || !still.test(segment)
        ? List.<EntryId>of()
        : vacate(residents(segment), tier, classes, false));
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

  /**
   * Forgets an entry that is about to be replaced under its own id, so that nobody is given it who would then find
   * another; false when someone may be reading it, or it is not there any more.
   */
  boolean retire(Position position, Stored stored) {
    return locked(() -> {
      Segment segment = position.segment();
      if (segment.detached() || segment.leased() || !has(position, stored)) {
        return false;
      }
      tree.displace(position, stored.tier(), stored.encoding(), stored.generation());
      return true;
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

  /** Keeps a wish that could not be carried out because the segment is being read; the next wake tries again. */
  void postpone(Move move) {
    locked(() -> {
      Segment segment = (Segment) move.segment();
      if (segment.leased() && !segment.detached()) {
        wishes.add(move);
      }
      return null;
    });
  }

  boolean wishesWaiting() {
    return locked(() -> !wishes.isEmpty());
  }

  /** Whether there is anything to do at leisure: wishes, or what has expired. */
  boolean leisureWaiting(long nowMillis) {
    return locked(() -> !wishes.isEmpty() || expiry.waiting(nowMillis));
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

  /** Rebuilds the tree from what durable tiers hold; called before anything else. */
  void restore(List<Recovered> recovered) {
    locked(() -> {
      new Recovery(tree, nanoTime.getAsLong(), candidates, policy.candidates().size()).restore(recovered);
      return null;
    });
  }
}
