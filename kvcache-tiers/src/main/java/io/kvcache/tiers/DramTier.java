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
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;

/**
 * Entries in this process's memory, off the heap. Nothing survives a restart.
 *
 * <p>Space: a part takes whole pages of 4096 bytes, or shares them with neighbours where together they have at most 256
 * KiB. The capacity bounds pages reserved from the system and, together with them, the heap objects that describe
 * entries, some 500 bytes for one that fits into a run of pages: a 32nd of the capacity, at least 8192 bytes, is set
 * aside for those and always counts as used; when more of it than of the pages is taken, usage shows the whole as full
 * as that. An entry much smaller than its claim is copied once, at its commit. Pages are reserved in slabs as they are
 * first needed, which takes about 0.4 ms a MiB then, and kept until {@link #close}.
 *
 * <p>Huge pages: slabs come from the C library's {@code malloc}; with glibc 2.35 or newer, {@code
 * GLIBC_TUNABLES=glibc.malloc.hugetlb=1} in the environment asks for transparent ones. It is left to the
 * user: on a small virtual machine reserving became slower and nothing became faster.
 *
 * <p>Ownership: a part's memory is freed when its entry was removed or replaced and the last view of it
 * closed; with assertions on it is overwritten then, so that use after close shows.
 *
 * <p>Threads: reading and viewing take no lock. After {@link #close} every method but {@link #name}, {@link
 * #traits} and {@link #usage} throws {@link IllegalStateException}, and so does every segment.
 */
public final class DramTier implements Tier {
  /** Least capacity, in bytes. */
  public static final long MIN_CAPACITY_BYTES = 64 << 10;

  /** System property that, when {@code true}, makes the tier remember where writes and views were taken. */
  public static final String TRACE_PROPERTY = "io.kvcache.traceHandles";

  /** What freed memory is overwritten with when assertions are on. */
  static final byte POISON = (byte) 0xdb;

  private static final int HEAP_SHARE = 32; // one part in so many of the capacity
  private static final long LEAST_HEAP_BYTES = 8 << 10;

  /**
   * Heap bytes an entry is charged: map node, id, key, entry, arrays; measured with compressed references.
   */
  private static final long ENTRY_HEAP_BYTES = 320;

  /** Heap bytes a part is charged: its length, and where it lies. */
  private static final long PART_HEAP_BYTES = 16;

  /** Heap bytes a run is charged, and a gap beside it. */
  private static final long RUN_HEAP_BYTES = 112;

  private static final long LONGEST_CLOSE_NANOS = 5_000_000_000L;
  private static final long CLOSE_RETRY_NANOS = 1_000_000L;
  /** Entries that need less than so many minus one of so many claimed pages are copied at their commit. */
  private static final int COPY_BELOW = 8;

  private static final Set<TierTrait> TRAITS = Set.of(TierTrait.ADDRESSABLE);
  private static final boolean ASSERTING = DramTier.class.desiredAssertionStatus();

  private final long capacityBytes;
  private final long heapLimitBytes;
  private final Arena arena = Arena.ofShared();
  private final PageAllocator pages;
  private final AtomicLong heapBytes = new AtomicLong();
  /** Bytes of pages in writes that are still open. */
  private final AtomicLong claimedBytes = new AtomicLong();
  private final ConcurrentHashMap<EntryId, DramEntry> entries = new ConcurrentHashMap<>();
  private final OpenHandles handles = new OpenHandles(ASSERTING || Boolean.getBoolean(TRACE_PROPERTY));
  private final AtomicBoolean closed = new AtomicBoolean();

  private DramTier(long capacityBytes) {
    this.capacityBytes = capacityBytes;
    heapLimitBytes = Math.max(LEAST_HEAP_BYTES, capacityBytes / HEAP_SHARE);
    pages = new PageAllocator(arena, capacityBytes - heapLimitBytes);
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
    long byPages = heapLimitBytes + pages.usedBytes();
    // Whichever is nearer its limit says how full the tier is.
    long byHeap = (long) ((double) heapBytes.get() / heapLimitBytes * capacityBytes);
    return new TierUsage(capacityBytes, Math.clamp(byHeap, byPages, capacityBytes), entries.size());
  }

  @Override
  public Optional<TierWrite> create(EntryId id, byte[] note, long[] partBytes) {
    Objects.requireNonNull(id, "id");
    requireOpen();
    requireNote(note);
    long[] claimed = partBytes.clone();
    requireLengths(claimed, null);
    Packing packing = new Packing(withNote(claimed));
    long heap = heapBytes(claimed.length, packing.runs());
    if (!chargeHeap(heap)) {
      return Optional.empty();
    }
    PageRun[] runs = allocate(packing);
    if (runs == null) {
      heapBytes.addAndGet(-heap);
      return Optional.empty();
    }
    return Optional.of(new Write(id, note.clone(), claimed, packing, runs));
  }

  @Override
  public boolean removalHelps(long[] partBytes) {
    requireOpen();
    requireLengths(partBytes, null);
    Packing packing = new Packing(withNote(partBytes));
    long left = capacityBytes - heapLimitBytes - claimedBytes.get();
    return packing.pages() <= left / PageRun.PAGE_BYTES
        && heapBytes(partBytes.length, packing.runs()) <= heapLimitBytes;
  }

  @Override
  public ReadResult read(EntryId id, int part, MemorySegment target, Deadline deadline) {
    DramEntry entry = retain(id);
    if (entry == null) {
      return new ReadResult.Missing();
    }
    try {
      if (part < 0 || part >= entry.parts() || target.byteSize() < entry.partBytes(part)) {
        return new ReadResult.Missing();
      }
      MemorySegment stored = entry.part(part);
      MemorySegment.copy(stored, 0, target, 0, stored.byteSize());
      return new ReadResult.Present(stored.byteSize());
    } finally {
      release(entry);
    }
  }

  @Override
  public Optional<TierView> view(EntryId id) {
    DramEntry entry = retain(id);
    return entry == null ? Optional.empty() : Optional.of(new View(entry));
  }

  @Override
  public int remove(Collection<EntryId> ids) {
    requireOpen();
    int removed = 0;
    for (EntryId id : ids) {
      DramEntry entry = entries.remove(id);
      if (entry != null) {
        release(entry);
        removed++;
      }
    }
    return removed;
  }

  @Override
  public void annotate(Map<EntryId, byte[]> notes) {
    requireOpen();
    notes.values().forEach(DramTier::requireNote);
    notes.forEach((id, note) -> entries.computeIfPresent(id, (same, entry) -> {
      entry.setNote(note);
      return entry;
    }));
  }

  @Override
  public void inventory(Consumer<TierEntry> consumer) {
    requireOpen();
    for (DramEntry entry : entries.values()) {
      if (entry.tryRetain()) {
        TierEntry listed;
        try {
          listed = new TierEntry(entry.id, entry.note(), entry.pageBytes());
        } finally {
          release(entry);
        }
        consumer.accept(listed);
      }
    }
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
    entries.clear();
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

  /** The entry with one more reference; null when there is none. */
  private DramEntry retain(EntryId id) {
    requireOpen();
    while (true) {
      DramEntry entry = entries.get(id);
      if (entry == null) {
        requireOpen(); // or close has just emptied the map, and missing would be the wrong answer
        return null;
      }
      if (entry.tryRetain()) {
        return entry;
      }
      // Replaced or removed since the look-up, so the next one finds another entry or none.
      Thread.onSpinWait();
    }
  }

  private void release(DramEntry entry) {
    if (entry.release()) {
      heapBytes.addAndGet(-heapBytes(entry.parts(), entry.runs.length));
      free(entry.runs);
    }
  }

  /** The runs; null when there is no room for all. */
  private PageRun[] allocate(Packing packing) {
    PageRun[] runs = new PageRun[packing.runs()];
    for (int i = 0; i < runs.length; i++) {
      runs[i] = pages.allocate(packing.runBytes(i));
      if (runs[i] == null) {
        free(Arrays.copyOf(runs, i));
        return null;
      }
    }
    return runs;
  }

  private void free(PageRun[] runs) {
    for (PageRun run : runs) {
      if (ASSERTING && arena.scope().isAlive()) {
        run.memory(0, run.bytes()).fill(POISON);
      }
      pages.free(run);
    }
  }

  private boolean chargeHeap(long bytes) {
    long charged = heapBytes.get();
    while (charged + bytes <= heapLimitBytes) {
      long witness = heapBytes.compareAndExchange(charged, charged + bytes);
      if (witness == charged) {
        return true;
      }
      charged = witness;
    }
    return false;
  }

  /** The lengths of what an entry consists of: the note, then its parts. */
  private static long[] withNote(long[] partBytes) {
    long[] all = new long[partBytes.length + 1];
    all[0] = DramEntry.NOTE_BYTES;
    System.arraycopy(partBytes, 0, all, 1, partBytes.length);
    return all;
  }

  private static long heapBytes(int parts, int runs) {
    return ENTRY_HEAP_BYTES + parts * PART_HEAP_BYTES + runs * RUN_HEAP_BYTES;
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
    private PageRun[] runs;
    private final AtomicBoolean ended = new AtomicBoolean();

    Write(EntryId id, byte[] note, long[] claimed, Packing packing, PageRun[] runs) {
      this.id = id;
      this.note = note;
      this.claimed = claimed;
      this.packing = packing;
      this.runs = runs;
      claimedBytes.addAndGet(DramEntry.pageBytes(runs));
      handles.opened(this);
    }

    @Override
    public MemorySegment part(int index) {
      if (ended.get()) {
        throw new IllegalStateException("write of " + id + " is over");
      }
      return memory(index, claimed);
    }

    private MemorySegment memory(int part, long[] partBytes) {
      return packing.memory(runs, part + 1, partBytes[part]);
    }

    @Override
    public void commit(long[] partBytes) {
      requireOpen();
      requireLengths(partBytes, claimed);
      if (!ended.compareAndSet(false, true)) {
        throw new IllegalStateException("write of " + id + " is over");
      }
      claimedBytes.addAndGet(-DramEntry.pageBytes(runs));
      fit(partBytes);
      DramEntry entry = new DramEntry(id, runs, packing, partBytes.clone());
      entry.setNote(note);
      DramEntry older = entries.put(id, entry);
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
      long[] all = withNote(partBytes);
      Packing fitting = new Packing(all);
      PageRun[] smaller =
          fitting.pages() * COPY_BELOW < packing.pages() * (COPY_BELOW - 1) ? allocate(fitting) : null;
      if (smaller == null) {
        for (int run = 0; run < runs.length; run++) {
          pages.shrink(runs[run], packing.endOf(run, all));
        }
        return;
      }
      for (int part = 0; part < partBytes.length; part++) {
        fitting.memory(smaller, part + 1, partBytes[part]).copyFrom(memory(part, partBytes));
      }
      free(runs);
      heapBytes.addAndGet((smaller.length - runs.length) * RUN_HEAP_BYTES);
      runs = smaller;
      packing = fitting;
    }

    @Override
    public void close() {
      if (ended.compareAndSet(false, true)) {
        heapBytes.addAndGet(-heapBytes(claimed.length, runs.length));
        claimedBytes.addAndGet(-DramEntry.pageBytes(runs));
        free(runs);
        handles.closed(this);
      }
    }
  }

  private final class View implements TierView {
    private final DramEntry entry;
    private final AtomicBoolean ended = new AtomicBoolean();

    View(DramEntry entry) {
      this.entry = entry;
      handles.opened(this);
    }

    @Override
    public int parts() {
      return entry.parts();
    }

    @Override
    public MemorySegment part(int index) {
      if (ended.get()) {
        throw new IllegalStateException("view of " + entry.id + " is closed");
      }
      return entry.part(index);
    }

    @Override
    public void close() {
      if (ended.compareAndSet(false, true)) {
        release(entry);
        handles.closed(this);
      }
    }
  }
}
