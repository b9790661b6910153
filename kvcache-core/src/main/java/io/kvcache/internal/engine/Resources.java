package io.kvcache.internal.engine;

import io.kvcache.CacheEvent;
import io.kvcache.CacheEvent.DropCause;
import io.kvcache.Encoding;
import io.kvcache.internal.delay.DelayModel;
import io.kvcache.internal.frame.Codecs;
import io.kvcache.internal.frame.FramePlan;
import io.kvcache.internal.tree.Position;
import io.kvcache.internal.tree.Segment;
import io.kvcache.internal.tree.Stored;
import io.kvcache.spi.CacheRuntime;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.Move;
import io.kvcache.spi.TierWrite;
import java.io.IOException;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import java.util.function.Predicate;
import java.util.stream.LongStream;

/** What leases, reservations and the migrator share. Threads: any. */
final class Resources {
  /** How many times the bytes wanted are looked through for something that can be dropped at once. */
  private static final int LOOK_BEHIND = 16;

  final FramePlan plan;
  final Codecs codecs;
  final Qualities qualities;
  final List<TierHandle> tiers;
  final Inventory inventory;
  final Staging staging;
  final Staging moverStaging;
  final CacheRuntime runtime;
  final Counters counters = new Counters();
  final DelayModel delays;
  final Consumer<CacheEvent> events;
  private final AtomicLong generations;
  private volatile boolean closed;

  Resources(FramePlan plan, Codecs codecs, Qualities qualities, List<TierHandle> tiers, Inventory inventory,
      DelayModel delays, Staging staging,
      Staging moverStaging, CacheRuntime runtime, Consumer<CacheEvent> events) {
    this.plan = plan;
    this.codecs = codecs;
    this.qualities = qualities;
    this.tiers = tiers;
    this.inventory = inventory;
    this.delays = delays;
    this.staging = staging;
    this.moverStaging = moverStaging;
    this.runtime = runtime;
    this.events = events;
    // The upper half differs from process to process, so that generations do too where a tier is shared or
    // outlives us.
    this.generations = new AtomicLong((long) runtime.random().nextInt() << Integer.SIZE);
  }

  long nextGeneration() {
    return generations.incrementAndGet();
  }

  boolean closed() {
    return closed;
  }

  void close() {
    closed = true;
  }

  void requireOpen() {
    if (closed) {
      throw new IllegalStateException("the cache is closed");
    }
  }

  /** A lease loaded so much from a tier, waiting and decoding included. */
  void loaded(int tier, Encoding encoding, long bytes, long nanos) {
    delays.observeLoad(tier, encoding, bytes, nanos);
    tellDelays();
  }

  /** Tells the policy of delays that have changed. */
  void tellDelays() {
    if (delays.changesWaiting()) {
      inventory.insights().changed(delays.takeChanges(), delays.recomputeKnown());
    }
  }

  /** An entry failed verification: it is forgotten and removed, and the caller has a miss. */
  void corrupt(Position position, EntryId id, Stored stored, Exception problem) {
    if (inventory.displace(position, stored)) {
      TierHandle tier = tiers.get(stored.tier());
      tier.corrupt.increment();
      events.accept(new CacheEvent.Corrupt(tier.name(), id.key(), String.valueOf(problem.getMessage())));
      discard(tier, id);
    }
  }

  /**
   * An entry is not where it should be. It is removed all the same: what a tier loses it must not find again.
   */
  void missing(Position position, EntryId id, Stored stored) {
    if (inventory.displace(position, stored)) {
      TierHandle tier = tiers.get(stored.tier());
      tier.missing.increment();
      discard(tier, id);
    }
  }

  /** Whether the time is over at which something expires. */
  boolean expired(long expiryMillis) {
    return expiryMillis != Stored.NEVER && expiryMillis <= runtime.wallClock().millis();
  }

  /** Whether an entry can be read, as far as one can tell without trying. */
  boolean usable(Stored stored) {
    return tiers.get(stored.tier()).available() && !expired(stored.expiryMillis());
  }

  /** An entry turns out to have expired: it is removed, and the caller has a miss. */
  void expired(Position position, EntryId id, Stored stored) {
    if (inventory.displace(position, stored)) {
      TierHandle tier = tiers.get(stored.tier());
      toldExpired(tier, 1);
      discard(tier, id);
    }
  }

  /** Counts and tells of what has expired. */
  void toldExpired(TierHandle tier, int chunks) {
    if (chunks > 0) {
      tier.expired.add(chunks);
      events.accept(new CacheEvent.Dropped(tier.name(), chunks, DropCause.EXPIRED));
    }
  }

  /** Removes from a tier what has left the tree because it had expired. */
  void discardExpired(TierHandle tier) {
    List<EntryId> ids = inventory.expiry().take(tier.index);
    tier.discard(ids);
    toldExpired(tier, ids.size());
  }

  /** Takes some of what has expired out of the tree; whether there was any, which is then to be discarded. */
  boolean sweepExpired() {
    return inventory.expiry().sweep(runtime.wallClock().millis());
  }

  /** Takes all that has expired out of the tree and out of the tiers, a little at a time. */
  void removeExpired() {
    do {
      tiers.forEach(this::discardExpired);
    } while (sweepExpired());
  }

  private void discard(TierHandle tier, EntryId id) {
    try {
      runtime.io().execute(() -> tier.discard(List.of(id)));
    } catch (RejectedExecutionException closing) {
      // A closed cache removes nothing; a damaged entry will be found so again.
    }
  }

  /**
   * What became of a claim for room.
   *
   * @param write the claim; empty when there was no room
   * @param lacksRoom whether there was none, but moving entries out of the tier would make some
   */
  record Attempt(Optional<TierWrite> write, boolean lacksRoom) {}

  /**
   * Claims room as it is, else with that of what has expired, else after evicting what can be evicted without copying.
   * Where evicting does not help, nothing is.
   *
   * @param usedBefore what was last used at this time or later is not evicted
   */
  Attempt create(TierHandle tier, EntryId id, byte[] note, long[] partBytes, long usedBefore) {
    long bytes = LongStream.of(partBytes).sum();
    try {
      Optional<TierWrite> write = tier.create(id, note, partBytes);
      while (write.isEmpty() && sweepExpired()) {
        discardExpired(tier);
        write = tier.create(id, note, partBytes);
      }
      while (write.isEmpty()) {
        if (!tier.removalHelps(id, partBytes)) {
          return new Attempt(write, false);
        }
        if (!dropFor(tier, bytes, usedBefore)) {
          return new Attempt(write, true);
        }
        write = tier.create(id, note, partBytes);
      }
      return new Attempt(write, false);
    } catch (IOException counted) {
      return new Attempt(Optional.empty(), false);
    }
  }

  /**
   * Carries out the drops of a plan for {@code bytes}: those that lose something only as long as they come before
   * everything that loses less, and is for the migrator to do; what another tier has too, in any case. Where the plan
   * has none, the first of these behind it. Whether there were any.
   */
  private boolean dropFor(TierHandle tier, long bytes, long usedBefore) {
    boolean dropped = false;
    boolean leading = true;
    for (Move move : inventory.plan(tier.index, bytes, usedBefore)) {
      leading &= move instanceof Move.Drop;
      dropped |= move instanceof Move.Drop drop && (leading ? drop(drop) : dropCopy(drop));
    }
    return dropped || inventory.plan(tier.index, bytes * LOOK_BEHIND, usedBefore).stream()
        .anyMatch(move -> move instanceof Move.Drop drop && dropCopy(drop));
  }

  /** Evicts a segment from a tier, unless someone holds it by now. */
  boolean drop(Move.Drop drop) {
    return dropIf(drop, segment -> true, DropCause.EVICTED);
  }

  /** As {@link #drop}, unless the tier has chunks of the segment that no other has. */
  private boolean dropCopy(Move.Drop drop) {
    return dropIf(drop, segment -> segment.chunksOnlyIn(drop.tier()) == 0, DropCause.EVICTED);
  }

  /** As {@link #drop}, for the quota of its namespace, of what another tier has too. */
  boolean dropCopy(Segment segment, TierHandle tier) {
    return dropIf(new Move.Drop(segment, tier.index), still -> still.chunksOnlyIn(tier.index) == 0,
        DropCause.QUOTA);
  }

  /** As {@link #drop}, unless contexts go on behind the segment. */
  boolean dropLeaf(Segment segment, TierHandle tier, DropCause cause) {
    return dropIf(new Move.Drop(segment, tier.index), leaf -> !leaf.hasChildren(), cause);
  }

  private boolean dropIf(Move.Drop drop, Predicate<Segment> still, DropCause cause) {
    TierHandle tier = tiers.get(drop.tier());
    List<EntryId> ids =
        inventory.vacateIf((Segment) drop.segment(), drop.tier(), drop.classes(), still);
    tier.discard(ids);
    if (!ids.isEmpty()) {
      tier.evicted.add(ids.size());
      events.accept(new CacheEvent.Dropped(tier.name(), ids.size(), cause));
    }
    return !ids.isEmpty();
  }
}
