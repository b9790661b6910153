package io.kvcache.tiers;

import com.sun.management.OperatingSystemMXBean;
import io.kvcache.spi.Deadline;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.ReadResult;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierEntry;
import io.kvcache.spi.TierTrait;
import io.kvcache.spi.TierUsage;
import io.kvcache.spi.TierView;
import io.kvcache.spi.TierWrite;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.util.Arrays;
import java.util.Collection;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;

/**
 * Entries in this process's memory, off the heap. Nothing survives a restart.
 *
 * <p>Space: a part takes whole pages of 4096 bytes, or shares them with neighbours where together they have at most 256
 * KiB; what describes an entry, some 600 bytes and its note, shares pages with its first parts. The capacity bounds the
 * pages reserved from the system with 12 bytes about each, and an index on the heap, for which a 128th of the capacity,
 * at least 4096 bytes, is set aside and counts as used. An entry much smaller than its claim is copied once, at its
 * commit. Pages are reserved in slabs as they are first needed, which takes about 0.4 ms a MiB then, and kept until
 * {@link #close}.
 *
 * <p>Huge pages: slabs come from the C library's {@code malloc}; with glibc 2.35 or newer, {@code
 * GLIBC_TUNABLES=glibc.malloc.hugetlb=1} in the environment asks for transparent ones. It is left to the
 * user: on a small virtual machine reserving became slower and nothing became faster.
 *
 * <p>Ownership: a part's memory is freed when its entry was removed or replaced and the last view of it
 * closed; with assertions on it is overwritten then, so that use after close shows.
 *
 * <p>Threads: finding an entry takes a lock that one of 64 have in common, for less than a microsecond; reading and
 * viewing what was found takes none. After {@link #close} every method but {@link #name}, {@link
 * #traits} and {@link #usage} throws {@link IllegalStateException}, and so does every segment.
 */
public final class DramTier implements Tier {
  /** Least capacity, in bytes. */
  public static final long MIN_CAPACITY_BYTES = 64 << 10;

  /** System property that, when {@code true}, makes the tier remember where writes and views were taken. */
  public static final String TRACE_PROPERTY = "io.kvcache.traceHandles";

  /** What freed memory is overwritten with when assertions are on. */
  static final byte POISON = (byte) 0xdb;

  private static final int INDEX_SHARE = Pages.BYTES / DramIndex.ENTRY_BYTES; // an entry has a page at least
  private static final long LEAST_INDEX_BYTES = 4 << 10;

  private static final long LONGEST_CLOSE_NANOS = 5_000_000_000L;
  private static final long CLOSE_RETRY_NANOS = 1_000_000L;
  /** Entries that need less than so many minus one of so many claimed pages are copied at their commit. */
  private static final int COPY_BELOW = 8;

  private static final Set<TierTrait> TRAITS = Set.of(TierTrait.ADDRESSABLE);
  private static final boolean ASSERTING = DramTier.class.desiredAssertionStatus();

  private final long capacityBytes;
  private final long indexBytes;
  private final Arena arena = Arena.ofShared();
  private final PageAllocator pages;
  /** Pages of writes that are still open. */
  private final AtomicLong claimedPages = new AtomicLong();
  private final DramIndex index;
  private final OpenHandles handles = new OpenHandles(ASSERTING || Boolean.getBoolean(TRACE_PROPERTY));
  private final AtomicBoolean closed = new AtomicBoolean();

  private DramTier(long capacityBytes) {
    this.capacityBytes = capacityBytes;
    indexBytes = Math.max(LEAST_INDEX_BYTES, capacityBytes / INDEX_SHARE);
    pages = new PageAllocator(arena, capacityBytes - indexBytes);
    index = new DramIndex(this::record, pages.limitPages());
  }

  /**
   * An empty tier, whose memory is reserved as it is needed.
   *
   * @param capacityBytes hard limit on all it takes, {@value #MIN_CAPACITY_BYTES} to the memory of this
   *     machine or container
   * @throws IllegalArgumentException when the capacity is outside these limits
   */
  public static DramTier open(long capacityBytes) {
    long most = ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class).getTotalMemorySize();
    if (capacityBytes < MIN_CAPACITY_BYTES || capacityBytes > most) {
      throw new IllegalArgumentException("capacityBytes is " + capacityBytes + ", must be "
          + MIN_CAPACITY_BYTES + " to " + most + ", this machine's memory");
    }
    return new DramTier(capacityBytes);
  }

  @Override
  public String name() {
    return "dram";
  }

  @Override
  public Set<TierTrait> traits() {
    return TRAITS;
  }

  @Override
  public TierUsage usage() {
    return new TierUsage(capacityBytes, indexBytes + pages.usedBytes(), index.size());
  }

  @Override
  public Optional<TierWrite> create(EntryId id, byte[] note, long[] partBytes) {
    Objects.requireNonNull(id, "id");
    requireOpen();
    requireNote(note);
    long[] claimed = partBytes.clone();
    requireLengths(claimed, null);
    Packing packing = new Packing(withRecord(claimed));
    int[] runs = allocate(packing);
    return runs == null ? Optional.empty() : Optional.of(new Write(id, note.clone(), claimed, packing, runs));
  }

  @Override
  public boolean removalHelps(long[] partBytes) {
    requireOpen();
    requireLengths(partBytes, null);
    return new Packing(withRecord(partBytes)).pages() <= pages.limitPages() - claimedPages.get();
  }

  @Override
  public ReadResult read(EntryId id, int part, MemorySegment target, Deadline deadline) {
    MemorySegment record = hold(id);
    if (record == null) {
      return new ReadResult.Missing();
    }
    try {
      if (part < 0 || part >= DramRecord.parts(record)
          || target.byteSize() < DramRecord.partBytes(record, part)) {
        return new ReadResult.Missing();
      }
      MemorySegment stored = part(record, part);
      MemorySegment.copy(stored, 0, target, 0, stored.byteSize());
      return new ReadResult.Present(stored.byteSize());
    } finally {
      release(record);
    }
  }

  @Override
  public Optional<TierView> view(EntryId id) {
    MemorySegment record = hold(id);
    return record == null ? Optional.empty() : Optional.of(new View(record));
  }

  @Override
  public int remove(Collection<EntryId> ids) {
    requireOpen();
    int removed = 0;
    for (EntryId id : ids) {
      MemorySegment record = index.remove(id);
      if (record != null) {
        release(record);
        removed++;
      }
    }
    return removed;
  }

  @Override
  public void annotate(Map<EntryId, byte[]> notes) {
    requireOpen();
    notes.values().forEach(DramTier::requireNote);
    notes.forEach((id, note) -> index.update(id, record -> DramRecord.note(record, note)));
  }

  @Override
  public void inventory(Consumer<TierEntry> consumer) {
    requireOpen();
    index.forEach(record -> new TierEntry(DramRecord.id(record), DramRecord.note(record),
        pages(DramRecord.runs(record)) * Pages.BYTES), consumer);
  }

  /** Does nothing: nothing here survives a restart. */
  @Override
  public void flush() {
    requireOpen();
  }

  /**
   * Gives all memory back, once I/O and checksums that run on a segment are done. Idempotent, except that it
   * tries again where that took too long before.
   *
   * @throws IllegalStateException when writes or views are still open, naming how many and, where traced,
   *     where they were taken; the memory is given back nevertheless and using it throws. Also when I/O on a
   *     segment does not end within seconds: nothing is given back then.
   */
  @Override
  public synchronized void close() {
    boolean first = closed.compareAndSet(false, true);
    long open = handles.count();
    index.clear();
    closeArena();
    if (first && open != 0) {
      throw new IllegalStateException(
          open + " writes or views of tier dram still open; " + handles.describe());
    }
  }

  /** An arena does not close under native calls on its memory, nor tells when they are done: so ask again. */
  private void closeArena() {
    long start = System.nanoTime();
    while (arena.scope().isAlive()) {
      try {
        arena.close();
      } catch (IllegalStateException inUse) {
        if (System.nanoTime() - start >= LONGEST_CLOSE_NANOS) {
          throw new IllegalStateException("memory of tier dram is in use and was not given back", inUse);
        }
        LockSupport.parkNanos(CLOSE_RETRY_NANOS);
      }
    }
  }

  private MemorySegment hold(EntryId id) {
    requireOpen();
    MemorySegment record = index.hold(id);
    if (record == null) {
      requireOpen(); // or close has just emptied the index, and missing would be the wrong answer
    }
    return record;
  }

  private void release(MemorySegment record) {
    if (DramRecord.release(record)) {
      free(DramRecord.runs(record));
    }
  }

  /** Gives memory back, which closing the tier does for all of it. */
  private void unlessGone(Runnable giveBack) {
    try {
      giveBack.run();
    } catch (IllegalStateException e) {
      if (arena.scope().isAlive()) {
        throw e;
      }
    }
  }

  /** The record that begins on a page. */
  private MemorySegment record(int page) {
    MemorySegment record = pages.memory(page, 0, Pages.BYTES);
    long bytes = DramRecord.bytes(DramRecord.parts(record));
    return bytes <= Pages.BYTES ? record : pages.memory(page, 0, bytes);
  }

  private MemorySegment part(MemorySegment record, int part) {
    return pages.memory(DramRecord.runOf(record, part), DramRecord.offset(record, part),
        DramRecord.partBytes(record, part)).asReadOnly();
  }

  /** First pages of the runs; null when there is no room for all. */
  private int[] allocate(Packing packing) {
    int[] runs = new int[packing.runs()];
    for (int i = 0; i < runs.length; i++) {
      runs[i] = pages.allocate(packing.runBytes(i));
      if (runs[i] == Slabs.NONE) {
        free(Arrays.copyOf(runs, i));
        return null;
      }
    }
    return runs;
  }

  private void free(int[] runs) {
    for (int run : runs) {
      if (ASSERTING && arena.scope().isAlive()) {
        pages.memory(run, 0, (long) pages.pages(run) * Pages.BYTES).fill(POISON);
      }
      pages.free(run);
    }
  }

  private long pages(int[] runs) {
    long sum = 0;
    for (int run : runs) {
      sum += pages.pages(run);
    }
    return sum;
  }

  /** The lengths of what an entry consists of: its record, then its parts. */
  private static long[] withRecord(long[] partBytes) {
    long[] all = new long[partBytes.length + 1];
    all[0] = DramRecord.bytes(partBytes.length);
    System.arraycopy(partBytes, 0, all, 1, partBytes.length);
    return all;
  }

  private void requireOpen() {
    if (closed.get()) {
      throw new IllegalStateException("tier dram is closed");
    }
  }

  private static void requireNote(byte[] note) {
    if (note.length > MAX_NOTE_BYTES) {
      throw new IllegalArgumentException("note has " + note.length + " bytes, at most " + MAX_NOTE_BYTES);
    }
  }

  /** Checks lengths to claim or, where {@code claimed} is not null, to commit. */
  private static void requireLengths(long[] partBytes, long[] claimed) {
    if (partBytes.length == 0 || claimed != null && partBytes.length != claimed.length) {
      String expected = claimed == null ? "at least 1" : String.valueOf(claimed.length);
      throw new IllegalArgumentException("entry has " + partBytes.length + " parts, must be " + expected);
    }
    for (int i = 0; i < partBytes.length; i++) {
      long most = claimed == null ? Long.MAX_VALUE : claimed[i];
      if (partBytes[i] < 1 || partBytes[i] > most) {
        throw new IllegalArgumentException(
            "part " + i + " has " + partBytes[i] + " bytes, must be 1 to " + most);
      }
    }
  }

  private final class Write implements TierWrite {
    private final EntryId id;
    private final byte[] note;
    private final long[] claimed;
    private Packing packing;
    private int[] runs;
    private final AtomicBoolean ended = new AtomicBoolean();

    Write(EntryId id, byte[] note, long[] claimed, Packing packing, int[] runs) {
      this.id = id;
      this.note = note;
      this.claimed = claimed;
      this.packing = packing;
      this.runs = runs;
      claimedPages.addAndGet(packing.pages());
      handles.opened(this);
    }

    @Override
    public MemorySegment part(int part) {
      if (ended.get()) {
        throw new IllegalStateException("write of " + id + " is over");
      }
      return memory(packing, runs, part, claimed);
    }

    private MemorySegment memory(Packing in, int[] of, int part, long[] partBytes) {
      return pages.memory(of[in.run(part + 1)], in.offset(part + 1), partBytes[part]);
    }

    @Override
    public void commit(long[] partBytes) {
      requireOpen();
      requireLengths(partBytes, claimed);
      if (!ended.compareAndSet(false, true)) {
        throw new IllegalStateException("write of " + id + " is over");
      }
      claimedPages.addAndGet(-packing.pages());
      fit(partBytes);
      DramRecord.write(pages.memory(runs[0], 0, DramRecord.bytes(partBytes.length)), id, note, partBytes,
          packing, runs);
      MemorySegment older = index.put(id, runs[0]);
      if (older != null) {
        release(older);
      }
      handles.closed(this);
    }

    /**
     * Gives back what so many bytes do not need. Where that is much they are copied to where they fit: shrunk in place,
     * every entry would leave a hole that the next claim of full size just does not fit into.
     */
    private void fit(long[] partBytes) {
      long[] all = withRecord(partBytes);
      Packing fitting = new Packing(all);
      int[] smaller =
          fitting.pages() * COPY_BELOW < packing.pages() * (COPY_BELOW - 1) ? allocate(fitting) : null;
      if (smaller == null) {
        for (int run = 0; run < runs.length; run++) {
          pages.shrink(runs[run], packing.endOf(run, all));
        }
        return;
      }
      for (int part = 0; part < partBytes.length; part++) {
        memory(fitting, smaller, part, partBytes).copyFrom(memory(packing, runs, part, partBytes));
      }
      free(runs);
      runs = smaller;
      packing = fitting;
    }

    @Override
    public void close() {
      if (ended.compareAndSet(false, true)) {
        claimedPages.addAndGet(-packing.pages());
        unlessGone(() -> free(runs));
        handles.closed(this);
      }
    }
  }

  private final class View implements TierView {
    private final MemorySegment record;
    private final int parts;
    private final AtomicBoolean ended = new AtomicBoolean();

    View(MemorySegment record) {
      this.record = record;
      this.parts = DramRecord.parts(record);
      handles.opened(this);
    }

    @Override
    public int parts() {
      return parts;
    }

    @Override
    public MemorySegment part(int index) {
      if (ended.get()) {
        throw new IllegalStateException("view is closed");
      }
      return DramTier.this.part(record, Objects.checkIndex(index, parts));
    }

    @Override
    public void close() {
      if (ended.compareAndSet(false, true)) {
        unlessGone(() -> release(record));
        handles.closed(this);
      }
    }
  }
}
