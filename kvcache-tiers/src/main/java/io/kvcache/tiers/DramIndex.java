package io.kvcache.tiers;

import io.kvcache.ChunkKey;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.VariantClass;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.IntFunction;

/**
 * Finds an entry's record by its id: open addressing with linear probing, in shards that each have a lock, which is
 * held for a few memory accesses. A slot is a long, with 32 bits of the key's hash and the page that the record begins
 * on; keys themselves are in the records. Entries found are held before the lock is let go, so that none can be freed
 * between being found and being held.
 */
final class DramIndex {
  /** Most bytes of the heap for an entry: twice a table half full while it is being replaced by a larger one. */
  static final int ENTRY_BYTES = 32;

  private static final int MOST_SHARDS = 64;
  private static final int FIRST_SLOTS = 8;
  private static final long EMPTY = 0;

  private final IntFunction<MemorySegment> record;
  private final Shard[] shards;

  /**
   * An empty index.
   *
   * @param record what begins on a page
   * @param expected entries, roughly: few need few shards
   */
  DramIndex(IntFunction<MemorySegment> record, long expected) {
    this.record = record;
    int count = Integer.highestOneBit(Math.clamp(expected / FIRST_SLOTS, 1, MOST_SHARDS));
    shards = new Shard[count];
    for (int shard = 0; shard < count; shard++) {
      shards[shard] = new Shard();
    }
  }

  /** Entries there are; exact while nobody changes any. */
  long size() {
    long size = 0;
    for (Shard shard : shards) {
      size += shard.size;
    }
    return size;
  }

  /** The record of an entry, held; null when there is none. */
  MemorySegment hold(EntryId id) {
    Shard shard = shard(id);
    synchronized (shard) {
      int slot = shard.find(id);
      if (slot < 0) {
        return null;
      }
      MemorySegment found = record.apply(page(shard.slots[slot]));
      DramRecord.retain(found);
      return found;
    }
  }

  /** Has a page stand for an entry; returns the record that did before, or null. The caller releases that. */
  MemorySegment put(EntryId id, int page) {
    Shard shard = shard(id);
    synchronized (shard) {
      int slot = shard.find(id);
      if (slot >= 0) {
        MemorySegment older = record.apply(page(shard.slots[slot]));
        shard.slots[slot] = slot(hash(id), page);
        return older;
      }
      shard.add(slot(hash(id), page));
      return null;
    }
  }

  /** Takes an entry out; returns its record, which the caller releases, or null. */
  MemorySegment remove(EntryId id) {
    Shard shard = shard(id);
    synchronized (shard) {
      int slot = shard.find(id);
      if (slot < 0) {
        return null;
      }
      MemorySegment removed = record.apply(page(shard.slots[slot]));
      shard.remove(slot);
      return removed;
    }
  }

  /** Does something with a record that no other such action sees at the same time; nothing where there is none. */
  void update(EntryId id, Consumer<MemorySegment> action) {
    Shard shard = shard(id);
    synchronized (shard) {
      int slot = shard.find(id);
      if (slot >= 0) {
        action.accept(record.apply(page(shard.slots[slot])));
      }
    }
  }

  /** Calls back with something of every record, without a lock. */
  <T> void forEach(Function<MemorySegment, T> of, Consumer<T> each) {
    for (Shard shard : shards) {
      List<T> all = new ArrayList<>();
      synchronized (shard) {
        for (long slot : shard.slots) {
          if (slot != EMPTY) {
            all.add(of.apply(record.apply(page(slot))));
          }
        }
      }
      all.forEach(each);
    }
  }

  /** Forgets everything. */
  void clear() {
    for (Shard shard : shards) {
      synchronized (shard) {
        shard.slots = new long[FIRST_SLOTS];
        shard.size = 0;
      }
    }
  }

  private Shard shard(EntryId id) {
    return shards[(int) id.key().word2() & shards.length - 1];
  }

  /** Keys are uniform; of words that nothing else takes a hash of. */
  private static int hash(EntryId id) {
    ChunkKey key = id.key();
    return (int) (key.word1() >>> 32) ^ (id.variantClass() == VariantClass.FULL ? 0 : 0x55555555);
  }

  private static long slot(int hash, int page) {
    return (long) hash << 32 | page + 1;
  }

  private static int page(long slot) {
    return (int) slot - 1;
  }

  /** Guarded by itself. */
  private final class Shard {
    private long[] slots = new long[FIRST_SLOTS];
    private volatile int size;

    /** Where an entry is; negative when it is not. */
    int find(EntryId id) {
      int hash = hash(id);
      int mask = slots.length - 1;
      for (int at = hash & mask; slots[at] != EMPTY; at = at + 1 & mask) {
        if ((int) (slots[at] >>> 32) == hash && DramRecord.is(record.apply(page(slots[at])), id)) {
          return at;
        }
      }
      return -1;
    }

    void add(long slot) {
      if (4 * (size + 1) > 3 * slots.length) {
        long[] old = slots;
        slots = new long[2 * old.length];
        for (long each : old) {
          if (each != EMPTY) {
            insert(each);
          }
        }
      }
      insert(slot);
      size++;
    }

    private void insert(long slot) {
      int mask = slots.length - 1;
      int at = home(slot);
      while (slots[at] != EMPTY) {
        at = at + 1 & mask;
      }
      slots[at] = slot;
    }

    private int home(long slot) {
      return (int) (slot >>> 32) & slots.length - 1;
    }

    /** Moves up what would not be found any more behind the gap (Knuth, 6.4 R). */
    void remove(int slot) {
      int mask = slots.length - 1;
      int gap = slot;
      for (int at = slot + 1 & mask; slots[at] != EMPTY; at = at + 1 & mask) {
        if ((at - home(slots[at]) & mask) >= (at - gap & mask)) {
          slots[gap] = slots[at];
          gap = at;
        }
      }
      slots[gap] = EMPTY;
      size--;
    }
  }
}
