package io.kvcache.internal.engine;

import io.kvcache.ChunkKey;
import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.internal.delay.DelayModel;
import io.kvcache.internal.delay.DelayModel.Change;
import io.kvcache.internal.delay.DelayModel.Subject;
import io.kvcache.internal.engine.Inventory.Found;
import io.kvcache.internal.engine.Inventory.Resident;
import io.kvcache.internal.frame.EntryNote;
import io.kvcache.internal.frame.EntryNote.Profile;
import io.kvcache.internal.tree.Position;
import io.kvcache.internal.tree.PrefixTree;
import io.kvcache.internal.tree.Segment;
import io.kvcache.internal.tree.Stored;
import io.kvcache.spi.DelayLine;
import io.kvcache.spi.PlacementEvent;
import io.kvcache.spi.PlacementPolicy;
import io.kvcache.spi.PlacementPolicy.Verdict;
import io.kvcache.spi.VariantClass;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.function.BiFunction;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.LongSupplier;
import java.util.function.Predicate;

/**
 * What is asked about segments and told of them, rather than done with them: what was measured, how long things take,
 * why a segment is where it is. Under the inventory's lock.
 */
final class Insights {
  private final Monitor monitor;
  private final PrefixTree tree;
  private final PlacementPolicy policy;
  private final ProfileQueue profiles;
  private final Consumer<PlacementEvent> tell;
  private final LongSupplier nanoTime;
  private final List<TierHandle> tiers;
  /** Stands for the encodings that profiles are about. */
  private final int candidates;

  Insights(Monitor monitor, PrefixTree tree, PlacementPolicy policy, ProfileQueue profiles,
      Consumer<PlacementEvent> tell, LongSupplier nanoTime, List<TierHandle> tiers, int candidates) {
    this.monitor = monitor;
    this.tree = tree;
    this.policy = policy;
    this.profiles = profiles;
    this.tell = tell;
    this.nanoTime = nanoTime;
    this.tiers = tiers;
    this.candidates = candidates;
  }

  /**
   * A context to try encodings on, held until released.
   *
   * @param chunks of the whole context, each with the entry to read it from
   * @param from index of the first chunk of the segment in question, all of which are exact
   * @param to index behind its last chunk
   */
  record Context(List<Found> chunks, int from, int to) {}

  /**
   * The context of a segment, with exact entries where there are any; null when the segment is not exact.
   *
   * @param usable which entries can be read
   */
  Context contextOf(Segment segment, Predicate<Stored> usable) {
    return monitor.locked(() -> {
      List<Found> chunks = new ArrayList<>();
      for (Position position : segment.detached() ? List.<Position>of() : tree.contextOf(segment)) {
        Stored best = null;
        for (Stored stored : position.stored()) {
          boolean exact = stored.variantClass() == VariantClass.FULL;
          boolean better = best == null || (exact && best.variantClass() != VariantClass.FULL);
          best = better && usable.test(stored) ? stored : best;
        }
        if (best == null) {
          break;
        }
        chunks.add(new Found(position, position.key(), best));
      }
      int from = segment.firstChunk();
      int to = from + segment.chunks();
      if (chunks.size() < to || chunks.subList(from, to).stream()
          .anyMatch(found -> found.stored().variantClass() != VariantClass.FULL)) {
        return null;
      }
      // Positions are told from the deepest segment of the context, which is what the lease will let go of.
      tree.hold(chunks.getLast().position().below(), 1);
      return new Context(chunks, from, to);
    });
  }

  /** The next segment to be measured, or null. */
  Segment nextToProfile() {
    return monitor.locked(profiles::take);
  }

  int waitingForProfile() {
    return monitor.locked(profiles::size);
  }

  /** Takes note of what was measured; false when the segment is gone or is another by now. */
  boolean profiled(Segment segment, int chunks, float[] lossPerChunk) {
    return monitor.locked(() -> {
      boolean same = !segment.detached() && segment.chunks() == chunks;
      if (same) {
        tree.profile(segment, lossPerChunk);
        profiles.measured(segment);
      }
      return same;
    });
  }

  /**
   * Has a segment that could not be read measured later, where it is still there and exact.
   *
   * @param known which entries this cache can decode
   */
  void unreadable(Segment segment, Predicate<Stored> known) {
    monitor.locked(() -> {
      boolean exact = !segment.detached();
      for (int chunk = 0; exact && chunk < segment.chunks(); chunk++) {
        exact = new Position(segment, segment.firstChunk() + chunk).stored().stream()
            .anyMatch(stored -> stored.variantClass() == VariantClass.FULL && known.test(stored));
      }
      if (exact) {
        profiles.retry(segment);
      }
      return null;
    });
  }

  /** Whether there is what a method needs to rank the tokens of a segment. */
  boolean hasScores(Segment segment, DropMethod method) {
    return monitor.locked(() -> segment.hasScores(method));
  }

  /** Has the lossy segments of a path measured again, where its quality is less than what was measured of it. */
  void observed(ChunkKey root, List<ChunkKey> keys, double least, Qualities qualities) {
    monitor.locked(() -> {
      double lost = 0;
      Set<Segment> lossy = new LinkedHashSet<>();
      for (Position position : tree.match(root, keys)) {
        Stored best = Inventory.best(position, stored -> true);
        double loss = best == null ? Double.NaN : qualities.lossPerChunk(position.segment(), best.encoding());
        if (Double.isNaN(loss)) {
          break;
        }
        lost += loss;
        if (best.variantClass() != VariantClass.FULL) {
          lossy.add(position.segment());
        }
      }
      if (1 - lost > least) {
        lossy.forEach(profiles::again);
      }
      return null;
    });
  }

  /** What the policy says of each segment of a path; nothing counts as used. */
  <T> List<T> explain(ChunkKey root, List<ChunkKey> keys, BiFunction<Segment, Verdict, T> each) {
    return monitor.locked(() -> {
      Set<Segment> path = new LinkedHashSet<>();
      tree.match(root, keys).forEach(position -> path.add(position.segment()));
      long now = nanoTime.getAsLong();
      return path.stream().map(segment -> each.apply(segment, policy.explain(segment, now))).toList();
    });
  }

  /** Tells the policy of the first estimates of delays. */
  void startDelays(DelayModel delays, List<Encoding> encodings) {
    monitor.locked(() -> {
      for (int tier = 0; tier < tiers.size(); tier++) {
        for (Encoding encoding : encodings) {
          tell.accept(new PlacementEvent.LoadDelay(tier, encoding, delays.load(tier, encoding)));
        }
        tell.accept(new PlacementEvent.StoreDelay(tier, delays.store(tier)));
      }
      DelayLine recompute = delays.recompute();
      if (delays.recomputeKnown()) {
        tell.accept(new PlacementEvent.RecomputeDelay(recompute));
      }
      return null;
    });
  }

  /** Tells the policy of changed delays. */
  void changed(List<Change> changes, boolean recomputeKnown) {
    monitor.locked(() -> {
      for (Change change : changes) {
        switch (change.subject()) {
          case Subject.Load(int tier, var encoding) ->
              tell.accept(new PlacementEvent.LoadDelay(tier, encoding, change.line()));
          case Subject.Store(int tier) -> tell.accept(new PlacementEvent.StoreDelay(tier, change.line()));
          case Subject.Recompute() when recomputeKnown ->
              tell.accept(new PlacementEvent.RecomputeDelay(change.line()));
          case Subject.Recompute() -> {
          }
        }
      }
      return null;
    });
  }

  /** What is kept in the tier's index about an entry of a chunk. */
  EntryNote note(Resident chunk, Stored stored, long nowMillis) {
    return monitor.locked(() -> {
      Segment segment = chunk.position().segment();
      long idleNanos = nanoTime.getAsLong() - segment.lastUseNanos();
      return new EntryNote(chunk.root(), chunk.previous(), chunk.position().chunk(), stored.generation(),
          stored.encoding(), stored.bytes(), nowMillis - TimeUnit.NANOSECONDS.toMillis(idleNanos),
          segment.frequency(segment.lastUseNanos()), segment.uses(), stored.writtenExpiry(), segment.scored(),
          profileOf(segment));
    });
  }

  private Profile profileOf(Segment segment) {
    return segment.profiled() ? new Profile(candidates, segment.lossPerChunk()) : Profile.NONE;
  }

  /** How the policy wants a segment encoded in a durable tier. */
  Encoding persistAs(Segment segment, int tier) {
    return monitor.locked(() -> policy.persistAs(segment, tier));
  }

  int segments() {
    return monitor.locked(tree::segments);
  }

  long chunks() {
    return monitor.locked(tree::chunks);
  }

  /** Something computed from all segments, a parent before its children. */
  <T> List<T> collect(Function<Segment, T> each) {
    return monitor.locked(() -> {
      List<T> all = new ArrayList<>();
      tree.forEach(segment -> all.add(each.apply(segment)));
      return all;
    });
  }
}
