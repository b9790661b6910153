package io.kvcache.internal.engine;

import io.kvcache.Encoding;
import io.kvcache.KvCache.Flushed;
import io.kvcache.internal.engine.Inventory.Resident;
import io.kvcache.internal.tree.Segment;
import io.kvcache.internal.tree.Stored;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.Placement;
import java.io.IOException;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.locks.ReentrantLock;

/** Gets what is only in memory into a durable tier. */
final class Flusher {
  private final Resources shared;
  private final Migrator migrator;
  private final boolean savesDelays;
  private final ReentrantLock oneAtATime = new ReentrantLock();

  Flusher(Resources shared, Migrator migrator, boolean savesDelays) {
    this.shared = shared;
    this.savesDelays = savesDelays;
    this.migrator = migrator;
  }

  /**
   * What a flush came to.
   *
   * @param flushed what now survives power loss; null when there was a problem
   * @param problem why nothing is promised; null when all went well
   */
  record Outcome(Flushed flushed, IOException problem) {}

  /** Flushes wait for each other here, and not on I/O threads: one of these at most waits for moves under way. */
  Outcome flush() {
    oneAtATime.lock();
    try {
      return Tasks.onIo(shared.runtime, this::run);
    } finally {
      oneAtATime.unlock();
    }
  }

  private Outcome run() {
    Optional<TierHandle> durable = shared.tiers.stream().filter(TierHandle::durable).findFirst();
    try {
      shared.removeExpired();
      durable.ifPresent(this::copyDown);
      // Counted first: what is committed after this may come too late for the tiers' flush.
      Flushed flushed = count();
      if (savesDelays && durable.isPresent()) {
        SavedState.save(durable.get(), shared.delays.save());
      }
      for (TierHandle tier : shared.tiers) {
        if (tier.durable()) {
          tier.sweep();
          tier.annotate(() -> notes(tier));
          tier.flush();
        }
      }
      return new Outcome(flushed, null);
    } catch (IOException e) {
      return new Outcome(null, e);
    }
  }

  /** A segment as it was when the flush began. */
  private record Candidate(Segment segment, long lastUse, int firstChunk) {}

  /** Most recently used first: when not everything fits, what goes first is what is needed soonest. */
  private void copyDown(TierHandle target) {
    List<Candidate> candidates = shared.inventory.insights().collect(
        segment -> new Candidate(segment, segment.lastUseNanos(), segment.firstChunk()));
    candidates.sort(Comparator.comparingLong((Candidate candidate) -> -candidate.lastUse)
        .thenComparingInt(Candidate::firstChunk));
    for (Candidate candidate : candidates) {
      Encoding encoding = shared.inventory.insights().persistAs(candidate.segment, target.index);
      for (TierHandle from : shared.tiers) {
        if (!from.durable()) {
          migrator.save(candidate.segment, from.index, new Placement(target.index, encoding),
              candidate.lastUse);
        }
      }
    }
  }

  /** Fresh notes for everything in a tier: recency and frequency change without anything being written. */
  private Map<EntryId, byte[]> notes(TierHandle tier) {
    long nowMillis = shared.runtime.wallClock().millis();
    Map<EntryId, byte[]> notes = new HashMap<>();
    for (Segment segment : shared.inventory.insights().collect(each -> each)) {
      for (Resident chunk : shared.inventory.residentsOf(segment)) {
        for (Stored stored : chunk.stored()) {
          if (stored.tier() == tier.index) {
            notes.put(new EntryId(chunk.key(), stored.variantClass()),
                shared.inventory.insights().note(chunk, stored, nowMillis).encode());
          }
        }
      }
    }
    return notes;
  }

  private Flushed count() {
    long durable = 0;
    long all = 0;
    for (Segment segment : shared.inventory.insights().collect(each -> each)) {
      for (Resident chunk : shared.inventory.residentsOf(segment)) {
        // An encoding this cache has no compressor for is none that anyone could read.
        List<Stored> readable = chunk.stored().stream()
            .filter(stored -> shared.codecs.supports(stored.encoding()))
            .toList();
        boolean survives = readable.stream().anyMatch(stored -> shared.tiers.get(stored.tier()).durable());
        durable += survives ? 1 : 0;
        all += readable.isEmpty() ? 0 : 1;
      }
    }
    return new Flushed(durable, all - durable);
  }
}
