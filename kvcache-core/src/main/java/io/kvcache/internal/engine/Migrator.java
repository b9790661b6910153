package io.kvcache.internal.engine;

import io.kvcache.CacheEvent;
import io.kvcache.CacheEvent.DropCause;
import io.kvcache.ChunkKey;
import io.kvcache.Encoding;
import io.kvcache.internal.engine.Inventory.Resident;
import io.kvcache.internal.engine.Quotas.Place;
import io.kvcache.internal.prune.Kept;
import io.kvcache.internal.tree.Segment;
import io.kvcache.internal.tree.Stored;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.Move;
import io.kvcache.spi.Placement;
import io.kvcache.spi.VariantClass;
import java.io.IOException;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Carries out what the policy decides: copy, verify, publish, then delete. Readers are never blocked; a crash at any
 * point leaves the source, the copy, or both. One move at a time.
 */
final class Migrator {
  /** A tier this full is relieved in the background, so that new KV finds room without waiting for a copy. */
  private static final double HIGH_WATERMARK = 0.95;
  private static final double LOW_WATERMARK = 0.90;
  private static final long LONGEST_REST_NANOS = 100_000_000L;
  private static final long REST_STEP_NANOS = 1_000_000L;
  /** Evict whatever the policy says, however recently it was used. */
  static final long EVICT_ANY = Long.MAX_VALUE;

  private final Resources shared;
  private final ReentrantLock oneAtATime = new ReentrantLock();
  private final AtomicBoolean scheduled = new AtomicBoolean();
  private final Pruner pruner;

  Migrator(Resources shared) {
    this.shared = shared;
    this.pruner = new Pruner(shared);
  }

  /** Has the background look after what the policy wishes, what has expired, and what is full, soon. */
  void wake() {
    if (!shared.closed() && scheduled.compareAndSet(false, true)) {
      try {
        shared.runtime.background().execute(this::work);
      } catch (RejectedExecutionException closing) {
        scheduled.set(false);
      }
    }
  }

  /** As {@link #wake}, and has room made for a reservation that found none. */
  void wakeFor(TierHandle tier, long bytes) {
    tier.wanted.accumulateAndGet(bytes, Math::max);
    wake();
  }

  private void work() {
    scheduled.set(false);
    shared.removeExpired();
    for (TierHandle tier : shared.tiers) {
      tier.sweep();
      long wanted = tier.wanted.getAndSet(0);
      if (wanted > 0) {
        // A claim failed for lack of room: what is free as the tier counts may be scattered, or of another kind.
        free(tier, wanted);
      }
    }
    shared.inventory.quotas().takeLacking().forEach((place, bytes) -> makeRoom(place, bytes, EVICT_ANY, 0));
    for (Move move : shared.inventory.takeWishes()) {
      if (!carryOut(move, 0, true)) {
        shared.inventory.postpone(move);
      }
    }
    for (int tier = 0; tier + 1 < shared.tiers.size(); tier++) {
      relieve(shared.tiers.get(tier));
    }
  }

  private void relieve(TierHandle tier) {
    long capacity = tier.usage().capacityBytes();
    long used = tier.usage().usedBytes();
    if (capacity < Long.MAX_VALUE && used > capacity * HIGH_WATERMARK) {
      free(tier, (long) (used - capacity * LOW_WATERMARK));
    }
  }

  private boolean free(TierHandle tier, long bytes) {
    return free(tier, bytes, EVICT_ANY, 0);
  }

  /**
   * Frees room for {@code bytes} in a tier by whatever the policy plans; whether anything was freed.
   *
   * @param full tiers that this is part of freeing, in which it may not make room in turn
   */
  private boolean free(TierHandle tier, long bytes, long usedBefore, int full) {
    if ((full >>> tier.index & 1) != 0) {
      return false;
    }
    boolean freed = false;
    for (Move move : shared.inventory.plan(tier.index, Math.max(1, bytes), usedBefore)) {
      boolean done = carryOut(move, full | 1 << tier.index, false);
      if (!done && !shared.closed()
          && move instanceof Move.Transfer(var segment, int from, Placement to, boolean keeps)
          && !keeps && to.tier() != from) {
        // Where the next tier is broken, or full of what cannot go, this one must not seize up too.
        done = shared.dropLeaf((Segment) segment, shared.tiers.get(from), DropCause.EVICTED);
      }
      freed |= done;
    }
    return freed;
  }

  /**
   * Frees room in a namespace's quota by its own least recently used, moved down where there is a lower tier;
   * whether there is so much then.
   *
   * @param full as for {@link #free}
   */
  private boolean makeRoom(Place place, long bytes, long usedBefore, int full) {
    TierHandle tier = shared.tiers.get(place.tier());
    Quotas quotas = shared.inventory.quotas();
    if (quotas.room(place) >= bytes) {
      return true;
    }
    for (Segment segment : quotas.leastRecentlyUsed(place, usedBefore)) {
      if (shared.closed() || quotas.room(place) >= bytes) {
        break;
      }
      if (!shared.dropCopy(segment, tier) && !moveDown(segment, place.tier(), full)) {
        shared.dropLeaf(segment, tier, DropCause.QUOTA);
      }
    }
    return quotas.room(place) >= bytes;
  }

  private boolean moveDown(Segment segment, int from, int full) {
    int to = from + 1;
    if (to == shared.tiers.size() || shared.closed()) {
      return false;
    }
    Placement below = new Placement(to, shared.inventory.insights().persistAs(segment, to));
    return transfer(segment, new Course(from, below, false, EVICT_ANY, full | 1 << from, false, true)) > 0;
  }

  private boolean carryOut(Move move, int full, boolean leisurely) {
    if (shared.closed()) {
      return false;
    }
    return switch (move) {
      case Move.Drop drop -> shared.drop(drop);
      case Move.Transfer(var segment, int from, Placement to, boolean keepSource) ->
          transfer((Segment) segment, new Course(from, to, keepSource, EVICT_ANY, full, leisurely, false))
              > 0;
    };
  }

  /**
   * Copies a segment's chunks where the target has nothing as good.
   *
   * @param usedBefore what was last used before this time may be evicted from the target
   */
  void save(Segment segment, int from, Placement to, long usedBefore) {
    transfer(segment, new Course(from, to, true, usedBefore, 0, false, true));
  }

  /**
   * Copies a segment's chunks, or moves them.
   *
   * @return chunks that are in the target now and were not before, or are in the source no more
   */
  private int transfer(Segment segment, Course course) {
    int from = course.from;
    Placement to = course.to;
    oneAtATime.lock();
    try {
      List<Resident> chunks = shared.inventory.beginMove(segment, shared.runtime.wallClock().millis());
      shared.tiers.forEach(shared::discardExpired);
      if (chunks.isEmpty()) {
        return 0;
      }
      try {
        List<Resident> there = new ArrayList<>();
        int copied = copyAll(course, chunks, there);
        List<EntryId> left = course.keepSource || there.isEmpty() || !lastsAsLong(from, to.tier())
            ? List.of() : shared.inventory.vacate(there, from, leaving(from, to), true);
        shared.tiers.get(from).discard(left);
        if (copied > 0 && from == to.tier()) {
          shared.events.accept(
              new CacheEvent.Reencoded(shared.tiers.get(from).name(), shared.codecs.name(to.encoding()),
                  copied));
        } else if (copied > 0) {
          shared.events.accept(new CacheEvent.Moved(shared.tiers.get(from).name(),
              shared.tiers.get(to.tier()).name(), shared.codecs.name(to.encoding()), copied,
              left.isEmpty()));
        }
        return Math.max(copied, left.size());
      } finally {
        List<EntryId> removed = shared.inventory.endMove(segment, chunks);
        shared.tiers.forEach(tier -> tier.discard(removed));
      }
    } finally {
      oneAtATime.unlock();
    }
  }

  /** Sees to it that what a flush promised of the source holds for the copy, before the source goes. */
  private boolean lastsAsLong(int from, int to) {
    if (shared.tiers.get(from).durable() && shared.tiers.get(to).durable()) {
      try {
        shared.tiers.get(to).flush();
      } catch (IOException counted) {
        return false;
      }
    }
    return true;
  }

  /** What of the source goes: all, but in place not what was just put there. */
  private Set<VariantClass> leaving(int from, Placement to) {
    return to.tier() == from
        ? EnumSet.complementOf(EnumSet.of(shared.codecs.variantClass(to.encoding())))
        : EnumSet.allOf(VariantClass.class);
  }

  /** As {@link #settle}, but not for ever: a medium may hang. */
  void settleWithin(long nanos) {
    try {
      if (oneAtATime.tryLock(nanos, TimeUnit.NANOSECONDS)) {
        oneAtATime.unlock();
      }
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /** Waits until no move is under way: entries written by one that started before are then published or gone. */
  void settle() {
    oneAtATime.lock();
    oneAtATime.unlock();
  }

  /**
   * One transfer.
   *
   * @param keepSource whether the chunks stay where they are as well
   * @param usedBefore what was last used before this time may be evicted from the target
   * @param full the tiers that room is being made in for this transfer, a bit each: none is made there once more
   * @param leisurely whether readers come first
   * @param saving whether it is about having the chunks in the target rather than about how they are encoded there
   */
  private record Course(int from, Placement to, boolean keepSource, long usedBefore, int full,
      boolean leisurely, boolean saving) {
    boolean inPlace() {
      return from == to.tier();
    }
  }

  /** Copies chunks from the first on, as far as it goes; adds those that are in the target then to {@code there}. */
  private int copyAll(Course course, List<Resident> chunks, List<Resident> there) {
    int copied = 0;
    Map<ChunkKey, Kept> kept = null;
    for (Resident chunk : chunks) {
      Stored source = best(chunk, course.from);
      if (source == null || !shared.codecs.supports(source.encoding())) {
        continue;
      }
      Encoding encoding = shared.codecs.reencodable(source.encoding(), course.to.encoding())
          ? course.to.encoding()
          : source.encoding();
      if (course.inPlace() && !encoding.equals(course.to.encoding())) {
        continue; // it stays as it is, and nothing takes its place
      }
      if (chunk.stored().stream().noneMatch(stored -> suffices(chunk, stored, course, encoding))) {
        boolean drops = encoding.dropsTokens() && !source.encoding().dropsTokens();
        if (drops && kept == null) {
          kept = pruner.choose(chunks, course.from, encoding);
        }
        if (drops && !kept.containsKey(chunk.key())) {
          return copied;
        }
        if (!shared.inventory.beginCopy(chunk.key())) {
          continue;
        }
        long start = shared.runtime.nanoTime().getAsLong();
        try {
          Kept keeps = drops ? kept.get(chunk.key()) : null;
          Placement to = new Placement(course.to.tier(), encoding);
          Transcoder transcoder =
              new Transcoder(shared, chunk, source, to, course.keepSource, keeps, room(course));
          if (shared.closed() || !transcoder.run()) {
            return copied;
          }
        } finally {
          shared.inventory.endCopy(chunk.key());
        }
        copied++;
        if (course.leisurely) {
          rest(start);
        }
      }
      there.add(chunk);
    }
    return copied;
  }

  private Transcoder.Room room(Course course) {
    return new Transcoder.Room() {
      @Override
      public long usedBefore() {
        return course.usedBefore;
      }

      @Override
      public boolean make(TierHandle tier, long bytes) {
        return free(tier, bytes, course.usedBefore, course.full);
      }

      @Override
      public boolean make(Place place, long bytes) {
        return makeRoom(place, bytes, course.usedBefore, course.full);
      }
    };
  }

  /**
   * Rests as long as the last chunk took, while leases are open: what is done at leisure takes half of what the media
   * can do, and leaves the rest to readers. Not when someone waits for the move to end, or for room.
   */
  private void rest(long start) {
    long now = shared.runtime.nanoTime().getAsLong();
    long until = now + Math.min(now - start, LONGEST_REST_NANOS);
    boolean runs = true;
    while (runs && now < until && shared.counters.openLeases.get() > 0 && !shared.closed()
        && !oneAtATime.hasQueuedThreads() && shared.tiers.stream().noneMatch(tier -> tier.wanted.get() > 0)) {
      LockSupport.parkNanos(this, Math.min(until - now, REST_STEP_NANOS));
      long then = shared.runtime.nanoTime().getAsLong();
      runs = then > now; // a clock that stands still is a simulation's
      now = then;
    }
  }

  /**
   * Whether an entry is as good as the one a move would make. In place only the same encoding is; elsewhere exact bytes
   * are, however encoded, and what the policy asked for replaces what is better. What it did not ask for never does:
   * what is saved, and what the source can be no better than.
   */
  private boolean suffices(Resident chunk, Stored stored, Course course, Encoding encoding) {
    Encoding present = stored.encoding();
    if (stored.tier() != course.to.tier() || present.equals(encoding)) {
      return stored.tier() == course.to.tier();
    }
    if (course.inPlace()) {
      return false;
    }
    if (!course.saving && encoding.equals(course.to.encoding()) && !shared.codecs.exact(encoding)) {
      return false;
    }
    return shared.inventory.locked(
        () -> shared.qualities.atLeastAsGood(chunk.position().segment(), present, encoding));
  }

  private static Stored best(Resident chunk, int tier) {
    Stored best = null;
    for (Stored stored : chunk.stored()) {
      if (stored.tier() == tier && (best == null || stored.variantClass() == VariantClass.FULL)) {
        best = stored;
      }
    }
    return best;
  }
}
