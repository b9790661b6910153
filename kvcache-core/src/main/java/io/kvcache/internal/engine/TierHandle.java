package io.kvcache.internal.engine;

import io.kvcache.CacheEvent;
import io.kvcache.CacheStats.TierStats;
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
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.Consumer;
import java.util.function.LongSupplier;

/**
 * A tier behind a fence. After {@value #FAILURES} failures in a row the tier is left alone for a while, twice as long
 * each time; the first call after that decides whether it has healed. Counts what happens. Threads: any.
 */
final class TierHandle {
  private static final int FAILURES = 3;
  private static final long FIRST_FENCE_NANOS = 1_000_000_000L;
  private static final long LONGEST_FENCE_NANOS = 30 * FIRST_FENCE_NANOS;
  /** What a tier nobody has read from yet is taken to cost, in nanoseconds per byte. */
  private static final double MEMORY_GUESS = 0.1;
  private static final double STORAGE_GUESS = 1;

  final int index;
  final LongAdder bytesWritten = new LongAdder();
  final LongAdder bytesRead = new LongAdder();
  final LongAdder evicted = new LongAdder();
  final LongAdder corrupt = new LongAdder();
  final LongAdder missing = new LongAdder();
  /** Bytes that a reservation found no room for, for the migrator to see to. */
  final AtomicLong wanted = new AtomicLong();
  final LoadModel loads;
  private final Tier tier;
  private final LongSupplier nanoTime;
  private final Consumer<CacheEvent> events;
  private final LongAdder errors = new LongAdder();
  private volatile int failuresInARow;
  private long fenceNanos;
  private volatile boolean fenced;
  private volatile long fencedUntil;
  private volatile boolean unlisted;
  /** Entries that have left the tree and may still be in the tier. */
  private final Map<EntryId, Departure> departing = new ConcurrentHashMap<>();

  TierHandle(int index, Tier tier, LongSupplier nanoTime, Consumer<CacheEvent> events) {
    this.index = index;
    this.tier = tier;
    this.nanoTime = nanoTime;
    this.events = events;
    this.loads = new LoadModel(addressable() ? MEMORY_GUESS : STORAGE_GUESS);
  }

  /** How far the removal of an entry is. */
  private enum Departure {
    UNDER_WAY, FAILED
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

  /** Whether calls are made at all; false while the fence stands. */
  boolean available() {
    return !fenced || nanoTime.getAsLong() - fencedUntil >= 0;
  }

  /** Whether an entry could be stored under this id now, if there is room. */
  boolean mayHold(EntryId id) {
    return available() && !departing.containsKey(id);
  }

  /**
   * Claims space; empty when there is none now, or what was stored under {@code id} is still on its way out.
   *
   * @throws IOException when the tier failed, which is counted: evicting others would not help
   */
  Optional<TierWrite> create(EntryId id, byte[] note, long[] partBytes) throws IOException {
    if (!mayHold(id)) {
      return Optional.empty();
    }
    try {
      return tier.create(id, note, partBytes);
    } catch (IOException | RuntimeException e) {
      failed(e);
      throw new IOException("tier " + name() + " cannot claim space", e);
    }
  }

  /** Runs the commit of a claimed entry; false, and counted, when it fails. */
  boolean commit(Commit commit) {
    try {
      bytesWritten.add(commit.run());
      succeeded();
      return true;
    } catch (IOException | RuntimeException e) {
      failed(e);
      return false;
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
    try {
      result = tier.read(id, part, target, deadline);
    } catch (RuntimeException e) {
      result = new ReadResult.Unreadable(e);
    }
    switch (result) {
      case ReadResult.Present(long bytes) -> {
        bytesRead.add(bytes);
        succeeded();
      }
      case ReadResult.Missing() -> succeeded();
      case ReadResult.Unreadable(Exception cause) -> failed(cause);
    }
    return result;
  }

  Optional<TierView> view(EntryId id) {
    try {
      return tier.view(id);
    } catch (RuntimeException e) {
      failed(e);
      return Optional.empty();
    }
  }

  /**
   * Says that an entry has left the tree and is about to be removed here. Until it is, nothing is stored under its id:
   * the removal would hit that instead.
   */
  void departs(EntryId id) {
    departing.put(id, Departure.UNDER_WAY);
  }

  /** Removes for room or after damage: nobody is promised that it lasts. What fails is tried again later. */
  void discard(Collection<EntryId> ids) {
    ids.forEach(this::departs);
    if (ids.isEmpty()) {
      return;
    }
    if (!available()) {
      ids.forEach(id -> departing.put(id, Departure.FAILED));
      return;
    }
    try {
      tier.remove(ids);
      departing.keySet().removeAll(ids);
      succeeded();
    } catch (IOException | RuntimeException e) {
      ids.forEach(id -> departing.put(id, Departure.FAILED));
      failed(e);
    }
  }

  /** Tries again to remove what could not be removed before. */
  void sweep() {
    if (available()) {
      discard(takeFailed());
    }
  }

  private List<EntryId> takeFailed() {
    return departing.keySet().stream()
        .filter(id -> departing.replace(id, Departure.FAILED, Departure.UNDER_WAY))
        .toList();
  }

  /**
   * Removes, for a caller who is promised that it lasts; together with whatever else has left the tree and may still be
   * here, since the caller means that too.
   */
  void remove(Collection<EntryId> ids) throws IOException {
    Set<EntryId> mine = new LinkedHashSet<>(ids);
    mine.addAll(takeFailed());
    Set<EntryId> all = new LinkedHashSet<>(mine);
    all.addAll(departing.keySet());
    try {
      if (!all.isEmpty()) {
        tier.remove(all);
        departing.keySet().removeAll(mine);
        succeeded();
      }
    } catch (IOException | RuntimeException e) {
      mine.forEach(id -> departing.put(id, Departure.FAILED));
      failed(e);
      throw new IOException("tier " + name() + " cannot promise that " + ids.size() + " entries are gone", e);
    }
    if (unlisted) {
      throw new IOException(
          "tier " + name() + " could not list its entries when the cache was opened, and so cannot"
              + " promise that what is removed is gone");
    }
  }

  void flush(Map<EntryId, byte[]> notes) throws IOException {
    try {
      if (!notes.isEmpty()) {
        tier.annotate(notes);
      }
      tier.flush();
      succeeded();
    } catch (IOException | RuntimeException e) {
      failed(e);
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
      failed(e);
    }
    return all;
  }

  void close() throws IOException {
    tier.close();
  }

  private void succeeded() {
    if (failuresInARow > 0 || fenced) {
      synchronized (this) {
        failuresInARow = 0;
        if (fenced) {
          fenced = false;
          fenceNanos = 0;
          events.accept(new CacheEvent.TierHealed(name()));
        }
      }
    }
  }

  private synchronized void failed(Exception cause) {
    errors.increment();
    failuresInARow++;
    // Calls that were under way when the fence went up say nothing about the time after it.
    boolean probed = fenced && nanoTime.getAsLong() - fencedUntil >= 0;
    if (probed || (!fenced && failuresInARow >= FAILURES)) {
      boolean first = !fenced;
      fenceNanos = Math.clamp(fenceNanos * 2, FIRST_FENCE_NANOS, LONGEST_FENCE_NANOS);
      fencedUntil = nanoTime.getAsLong() + fenceNanos;
      fenced = true;
      if (first) {
        events.accept(new CacheEvent.TierFenced(name(), cause));
      }
    }
  }

  TierStats stats() {
    TierUsage usage = usage();
    return new TierStats(name(), usage.capacityBytes(), usage.usedBytes(), usage.entries(),
        bytesWritten.sum(),
        bytesRead.sum(), evicted.sum(), corrupt.sum(), missing.sum(), errors.sum(), fenced);
  }
}
