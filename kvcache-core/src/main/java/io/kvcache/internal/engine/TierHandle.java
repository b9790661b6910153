package io.kvcache.internal.engine;

import io.kvcache.CacheEvent;
import io.kvcache.CacheStats.TierStats;
import io.kvcache.internal.delay.DelayModel;
import io.kvcache.spi.Deadline;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.ReadResult;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierEntry;
import io.kvcache.spi.TierTrait;
import io.kvcache.spi.TierUsage;
import io.kvcache.spi.TierView;
import io.kvcache.spi.TierWrite;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.Consumer;
import java.util.function.LongSupplier;
import java.util.function.Supplier;

/**
 * A tier behind fences, one for all calls, which failing reads raise, and one for writes: a disk that is full, or was
 * remounted for reading, can still be read. Counts what happens. Threads: any.
 */
final class TierHandle {
  /** In place of the bytes that a commit stored. */
  private static final long FAILED = -1;
  /** A part is about a MiB: a tier that takes longer than this for one is as good as broken. */
  private static final long LONGEST_READ_NANOS = 5_000_000_000L;

  final int index;
  final LongAdder bytesWritten = new LongAdder();
  final LongAdder bytesRead = new LongAdder();
  final LongAdder evicted = new LongAdder();
  final LongAdder expired = new LongAdder();
  final LongAdder corrupt = new LongAdder();
  final LongAdder missing = new LongAdder();
  /** Bytes that a reservation found no room for, for the migrator to see to. */
  final AtomicLong wanted = new AtomicLong();
  private final Tier tier;
  private final LongSupplier nanoTime;
  private final DelayModel delays;
  private final Consumer<CacheEvent> events;
  private final LongAdder errors = new LongAdder();
  /** When each read under way began. */
  private final Map<Object, Long> reads = new ConcurrentHashMap<>();
  /** Shared by those that claim what is free, held by one that claims what it has just freed. */
  private final ReadWriteLock claiming = new ReentrantReadWriteLock();
  /** Shared by those that store, until the tree knows what; held by one that writes notes of what the tree knows. */
  private final ReadWriteLock storing = new ReentrantReadWriteLock();
  /** Fences that are up. */
  private final AtomicInteger up = new AtomicInteger();
  private final Fence fence;
  private final Fence writeFence;
  private volatile boolean unlisted;
  private boolean closed;
  private final Departures departures = new Departures();

  TierHandle(int index, Tier tier, LongSupplier nanoTime, DelayModel delays, Consumer<CacheEvent> events) {
    this.index = index;
    this.tier = tier;
    this.nanoTime = nanoTime;
    this.events = events;
    this.delays = delays;
    fence = new Fence(nanoTime, new Standing());
    writeFence = new Fence(nanoTime, new Standing());
  }

  String name() {
    return tier.name();
  }

  boolean addressable() {
    return tier.traits().contains(TierTrait.ADDRESSABLE);
  }

  boolean durable() {
    return tier.traits().contains(TierTrait.DURABLE);
  }

  TierUsage usage() {
    return tier.usage();
  }

  /** Whether calls are made at all; false while reads fail, and while one hangs. */
  boolean available() {
    if (fence.stands()) {
      return false;
    }
    if (!reads.isEmpty() && hangs()) {
      fence.raise(new IOException("tier " + name() + " has not answered a read for "
          + TimeUnit.NANOSECONDS.toSeconds(LONGEST_READ_NANOS) + " s"));
      return false;
    }
    return true;
  }

  private boolean hangs() {
    long now = nanoTime.getAsLong();
    return reads.values().stream().anyMatch(start -> now - start >= LONGEST_READ_NANOS);
  }

  private boolean mayWrite() {
    return available() && !writeFence.stands();
  }

  /** Whether an entry could be stored under this id now, if there is room. */
  boolean mayHold(EntryId id) {
    return mayWrite() && !departures.contains(id);
  }

  /** Whether something is stored that could not be removed, and nobody is about to. */
  boolean owesRemovals() {
    return departures.anyFailed();
  }

  /**
   * Claims space; empty when there is none now, or what was stored under {@code id} is still on its way out.
   *
   * @throws IOException when the tier failed, which is counted: evicting others would not help
   */
  Optional<TierWrite> create(EntryId id, byte[] note, long[] partBytes) throws IOException {
    claiming.readLock().lock();
    try {
      return mayHold(id) ? tier.create(id, note, partBytes) : Optional.empty();
    } catch (IOException | RuntimeException e) {
      failed(writeFence, e);
      throw new IOException("tier " + name() + " cannot claim space", e);
    } finally {
      claiming.readLock().unlock();
    }
  }

  /**
   * As {@link #create}, with the room that these entries leave: nobody else gets it in between, however many wait for
   * some.
   */
  Optional<TierWrite> createInPlaceOf(List<EntryId> leaving, EntryId id, byte[] note, long[] partBytes)
      throws IOException {
    claiming.writeLock().lock();
    try {
      discard(leaving);
      return create(id, note, partBytes);
    } finally {
      claiming.writeLock().unlock();
    }
  }

  /** Whether evicting others could let in an entry that {@link #create} found no room for. */
  boolean removalHelps(EntryId id, long[] partBytes) throws IOException {
    try {
      return mayHold(id) && tier.removalHelps(partBytes);
    } catch (IOException | RuntimeException e) {
      failed(writeFence, e);
      throw new IOException("tier " + name() + " cannot say what a claim lacks", e);
    }
  }

  /** Runs the commit of a claimed entry; false, and counted, when it fails. */
  boolean commit(Commit commit) {
    long start = nanoTime.getAsLong();
    long bytes = run(commit);
    // In memory the bytes are where they belong before the commit.
    if (bytes != FAILED && !addressable()) {
      delays.observeStore(index, Math.max(1, bytes), nanoTime.getAsLong() - start);
    }
    return bytes != FAILED;
  }

  /** As {@link #commit}, for what says nothing about how long storing takes. */
  boolean commitUnobserved(Commit commit) {
    return run(commit) != FAILED;
  }

  private long run(Commit commit) {
    try {
      long bytes = commit.run();
      bytesWritten.add(bytes);
      writeFence.succeeded();
      return bytes;
    } catch (IOException | RuntimeException e) {
      failed(writeFence, e);
      return FAILED;
    }
  }

  /** A commit that says how many bytes it stored. */
  interface Commit {
    long run() throws IOException;
  }

  ReadResult read(EntryId id, int part, MemorySegment target, Deadline deadline) {
    if (!available()) {
      return new ReadResult.Unreadable(new IOException("tier " + name() + " is fenced"));
    }
    ReadResult result;
    Object call = new Object();
    reads.put(call, nanoTime.getAsLong());
    try {
      result = tier.read(id, part, target, deadline);
    } catch (RuntimeException e) {
      result = new ReadResult.Unreadable(e);
    } finally {
      reads.remove(call);
    }
    switch (result) {
      case ReadResult.Present(long bytes) -> {
        bytesRead.add(bytes);
        fence.succeeded();
      }
      case ReadResult.Missing() -> fence.succeeded();
      case ReadResult.Unreadable(Exception cause) -> failed(fence, cause);
    }
    return result;
  }

  Optional<TierView> view(EntryId id) {
    try {
      return tier.view(id);
    } catch (RuntimeException e) {
      failed(fence, e);
      return Optional.empty();
    }
  }

  /** Promises that an entry will be removed; until it is, nothing can be stored under its id. */
  void departs(EntryId id) {
    departures.promise(id);
  }

  /**
   * Carries out promised removals, for room or after damage: nobody is told that they last. What fails is tried
   * again later.
   */
  void discard(Collection<EntryId> ids) {
    if (ids.isEmpty()) {
      return;
    }
    if (!mayWrite()) {
      departures.kept(ids, false);
      return;
    }
    try {
      tier.remove(ids);
      departures.kept(ids, true);
      writeFence.succeeded();
    } catch (IOException | RuntimeException e) {
      departures.kept(ids, false);
      failed(writeFence, e);
    }
  }

  /** Removes what may be here though it never was in the tree, or is there no more. */
  void withdraw(Collection<EntryId> ids) {
    ids.forEach(this::departs);
    discard(ids);
  }

  /** Tries again to remove what could not be removed before. */
  void sweep() {
    if (mayWrite()) {
      discard(departures.promiseFailed());
    }
  }

  /**
   * Carries out promised removals for a caller who is told that they last; together with whatever else has left
   * the tree and may still be here, since the caller means that too.
   */
  void remove(Collection<EntryId> ids) throws IOException {
    List<EntryId> all = departures.promiseAll();
    try {
      if (!all.isEmpty()) {
        tier.remove(all);
        writeFence.succeeded();
      }
      departures.kept(all, true);
      departures.kept(ids, true);
    } catch (IOException | RuntimeException e) {
      departures.kept(all, false);
      departures.kept(ids, false);
      failed(writeFence, e);
      throw new IOException("tier " + name() + " cannot promise that " + ids.size() + " entries are gone", e);
    }
    if (unlisted) {
      throw new IOException(
          "tier " + name() + " could not list its entries when the cache was opened, and so cannot"
              + " promise that what is removed is gone");
    }
  }

  /** Runs what commits entries here and makes them known to the tree. No notes are written meanwhile. */
  <T> T storing(Supplier<T> commitAndPublish) {
    storing.readLock().lock();
    try {
      return commitAndPublish.get();
    } finally {
      storing.readLock().unlock();
    }
  }

  /**
   * Writes the notes of what the tree has here. Nothing is stored from when they are asked for until they are written,
   * else one could become that of the entry that took the place of the one it is about, which nobody could read then.
   */
  void annotate(Supplier<Map<EntryId, byte[]>> notes) throws IOException {
    storing.writeLock().lock();
    try {
      Map<EntryId, byte[]> fresh = notes.get();
      if (!fresh.isEmpty()) {
        tier.annotate(fresh);
        writeFence.succeeded();
      }
    } catch (IOException | RuntimeException e) {
      failed(writeFence, e);
      throw new IOException("tier " + name() + " cannot be flushed", e);
    } finally {
      storing.writeLock().unlock();
    }
  }

  void flush() throws IOException {
    try {
      tier.flush();
      writeFence.succeeded();
    } catch (IOException | RuntimeException e) {
      failed(writeFence, e);
      throw new IOException("tier " + name() + " cannot be flushed", e);
    }
  }

  /** Everything in the tier; nothing, and counted, when it cannot say. */
  List<TierEntry> inventory() {
    List<TierEntry> all = new ArrayList<>();
    try {
      tier.inventory(all::add);
    } catch (IOException | RuntimeException e) {
      unlisted = true;
      failed(fence, e);
    }
    return all;
  }

  /** Closes the tier, unless that was done; called by one thread at a time. */
  void close() throws IOException {
    if (!closed) {
      tier.close();
      closed = true;
    }
  }

  private void failed(Fence of, Exception cause) {
    errors.increment();
    of.failed(cause);
  }

  /** Events are of the tier, and not of its fences. */
  private final class Standing implements Fence.Watcher {
    @Override
    public void raised(Exception cause) {
      if (up.getAndIncrement() == 0) {
        events.accept(new CacheEvent.TierFenced(name(), cause));
      }
    }

    @Override
    public void taken() {
      if (up.decrementAndGet() == 0) {
        events.accept(new CacheEvent.TierHealed(name()));
      }
    }
  }

  TierStats stats() {
    TierUsage usage = usage();
    return new TierStats(name(), usage.capacityBytes(), usage.usedBytes(), usage.entries(),
        bytesWritten.sum(),
        bytesRead.sum(), evicted.sum(), expired.sum(), corrupt.sum(), missing.sum(), errors.sum(),
        up.get() > 0);
  }
}
