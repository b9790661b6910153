package io.kvcache.tiers;

import io.kvcache.spi.EntryId;
import io.kvcache.spi.Tier;
import io.kvcache.testkit.Payloads;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.AtomicReferenceArray;

/**
 * What was done with some entries, one writer each, and what a reader may therefore find at any time: the outcome of
 * the last call that was acknowledged before it looked, or of any that was begun since.
 */
final class History {
  private static final int MOST_CALLS = 1 << 16;

  private final long[] partBytes;
  private final AtomicReferenceArray<boolean[]> stores; // by entry and call; the others are removals
  private final AtomicIntegerArray begun;
  private final AtomicIntegerArray acknowledged;

  /** Of entries {@code 0} and on, none of which is there. */
  History(int entries, long... partBytes) {
    this.partBytes = partBytes;
    stores = new AtomicReferenceArray<>(entries);
    for (int number = 0; number < entries; number++) {
      stores.set(number, new boolean[MOST_CALLS]);
    }
    begun = new AtomicIntegerArray(entries);
    acknowledged = new AtomicIntegerArray(entries);
  }

  /** Calls made on all entries that were acknowledged or failed. */
  long calls() {
    long calls = 0;
    for (int number = 0; number < begun.length(); number++) {
      calls += begun.get(number);
    }
    return calls;
  }

  /** Stores an entry's next version; false when it was not, or may not have been. */
  boolean store(Tier tier, int number) {
    int call = begin(number, true);
    try {
      if (Entries.store(tier, Payloads.entry(number), call, partBytes)) {
        return acknowledge(number, call);
      }
      begun.set(number, call - 1); // there was no room, so that nothing was begun
      return false;
    } catch (IOException uncertain) {
      return false;
    }
  }

  /** Removes an entry; false when it may still be there. */
  boolean remove(Tier tier, int number) {
    int call = begin(number, false);
    try {
      tier.remove(List.of(Payloads.entry(number)));
      return acknowledge(number, call);
    } catch (IOException uncertain) {
      return false;
    }
  }

  private int begin(int number, boolean store) {
    int call = begun.get(number) + 1;
    stores.get(number)[call] = store;
    begun.set(number, call);
    return call;
  }

  private boolean acknowledge(int number, int call) {
    acknowledged.set(number, call);
    return true;
  }

  /** Reads a part; null when what is found may be there, else what is wrong. */
  String problem(Tier tier, int number, int part, MemorySegment target) {
    int from = acknowledged.get(number);
    EntryId id = Payloads.entry(number);
    int found = (int) Entries.version(tier, id, part, target);
    int to = begun.get(number);
    boolean[] stored = stores.get(number);
    for (int call = from; call <= to; call++) {
      if (found == -1 ? !stored[call] : found == call && stored[call]) {
        return null;
      }
    }
    return "entry " + number + " part " + part + " is of call " + found + ", may be of " + from + " to " + to;
  }

  /** As {@link #problem}, of all parts of all entries. */
  String anyProblem(Tier tier, MemorySegment target) {
    for (int number = 0; number < begun.length(); number++) {
      for (int part = 0; part < partBytes.length; part++) {
        String problem = problem(tier, number, part, target);
        if (problem != null) {
          return problem;
        }
      }
    }
    return null;
  }
}
