package io.kvcache.spi;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.Collection;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;

/**
 * One storage level: a bounded map from entry to frame parts and a small note. It never evicts by itself and
 * never looks into parts or notes.
 *
 * <p>Threads: every method may be called from any thread, concurrently. Time: a call may block on the medium;
 * the cache calls from threads of its own and fences a tier that fails. Errors: what can be expected is a
 * result; {@link IOException} says that the medium failed.
 */
public interface Tier extends AutoCloseable {
  /** Read targets of tiers that are not addressable start at, and are as long as, a multiple of this. */
  int ALIGNMENT = 4096;

  /** Longest note a tier must keep, in bytes. */
  int MAX_NOTE_BYTES = 512;

  /** A short, stable name for metrics and logs, such as {@code dram} or {@code ssd}. */
  String name();

  /** What is lastingly true of this tier. */
  Set<TierTrait> traits();

  /**
   * Most bytes of an entry's parts together, each rounded up to a multiple of {@link #ALIGNMENT}, that this tier can
   * ever take at once; a cache whose chunks may be larger is not opened. The capacity is a limit in any case.
   */
  default long maxEntryBytes() {
    return Long.MAX_VALUE;
  }

  /** How full the tier is, now. */
  TierUsage usage();

  /**
   * Claims space for an entry.
   *
   * @param id what it is stored under; an older entry of this id stays readable until the commit
   * @param note up to {@value #MAX_NOTE_BYTES} opaque bytes kept with the entry
   * @param partBytes most bytes each part may need, all at least 1
   * @return empty when there is no room, which is not an error and takes no longer than finding out
   */
  Optional<TierWrite> create(EntryId id, byte[] note, long[] partBytes) throws IOException;

  /**
   * Whether removing entries can let in one that {@link #create} found no room for. False when it would find none in
   * a tier without entries either: the space is claimed by writes still open, something else is short, such as
   * memory to stage writes in, or the entry is too large for this tier. Asked before anything is evicted, so that
   * nothing is evicted in vain.
   *
   * @param partBytes as for {@code create}
   */
  default boolean removalHelps(long[] partBytes) throws IOException {
    long left = usage().capacityBytes();
    for (long bytes : partBytes) {
      if (bytes > left) {
        return false;
      }
      left -= bytes;
    }
    return true;
  }

  /**
   * Reads one part.
   *
   * @param target the caller's buffer; in a tier that is not addressable its address and length are multiples of
   *     {@link #ALIGNMENT} and it is at least the part's length rounded up to one
   * @param deadline when the caller stops waiting; a tier that can give up does
   */
  ReadResult read(EntryId id, int part, MemorySegment target, Deadline deadline);

  /** A reference to an entry's own memory; always empty unless the tier is {@link TierTrait#ADDRESSABLE}. */
  default Optional<TierView> view(EntryId id) {
    return Optional.empty();
  }

  /**
   * Removes entries; ids that are not there are passed over. When this returns they cannot come back, not even by
   * a crash.
   *
   * @return how many were there
   */
  int remove(Collection<EntryId> ids) throws IOException;

  /**
   * Replaces notes; ids that are not there are passed over. Durable no later than the next {@link #flush}, but may
   * be lost by a crash before.
   */
  void annotate(Map<EntryId, byte[]> notes) throws IOException;

  /** Calls back for every committed entry; those stored or removed meanwhile may or may not be among them. */
  void inventory(Consumer<TierEntry> entries) throws IOException;

  /** Returns once all entries and notes committed before the call survive power loss, if the tier is durable. */
  void flush() throws IOException;

  /** Releases everything. Idempotent. Entries of a durable tier are there again when it is next opened. */
  @Override
  void close() throws IOException;
}
