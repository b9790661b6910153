package io.kvcache.tiers;

import io.kvcache.spi.Deadline;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.ReadResult;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierEntry;
import io.kvcache.spi.TierTrait;
import io.kvcache.spi.TierUsage;
import io.kvcache.spi.TierWrite;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Collection;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.Consumer;

/**
 * Entries on a local disk, there again after a restart.
 *
 * <p>Large parts lie in extent files, read and written past the page cache where the filesystem can; small ones
 * and the index in a RocksDB beside them. {@code FORMAT.md} has the bytes. A part's bytes are durable before its
 * index record is written, and pages are reused only when it is durable that no record points to them, so that
 * after any crash a record's pages hold what was committed with it.
 *
 * <p>The capacity is a hard limit on the bytes of all files in the directory. A sixteenth of it, at least 4 MiB
 * and at most 256 MiB, is set aside for what the index takes beside its contents, and counts as used. Each entry
 * is charged whole pages for its large parts, and for its record (with the longest note) and its small parts a
 * quarter more than their length.
 *
 * <p>Errors: once a sync or an index write has failed nothing that was not synced before is certain any more, and no
 * sync is tried again on what it failed on. The tier then finds no room for anything, and refuses removals, notes and
 * flushes with an {@link IOException}; reads go on. A thread of its own heals it: as soon as the disk takes writes
 * again, which is tried after a second, then two, up to eight, files and index are closed and the directory is opened
 * as at first. Writes open at the time are over. Everything flushed is there again, nothing removed is; what was stored
 * and not flushed may be, and so may what a failed call was to store or remove.
 *
 * <p>Native memory: the staging memory; 32 MiB in which RocksDB keeps blocks; an eighth of what is set aside of the
 * capacity, thus at most 32 MiB, for what its tables have not taken yet, and as much again while it is opened or
 * compacts; and a few MiB for its tables and threads. Without its staging memory a tier finds no room for anything;
 * when RocksDB can have none it ends the process.
 *
 * <p>Ownership: the directory is this tier's alone while it is open. Threads: any, concurrently; an interrupted
 * caller harms nobody else. Needs {@code org.rocksdb:rocksdbjni}.
 */
public final class SsdTier implements Tier {
  /** Least capacity, in bytes. */
  public static final long MIN_CAPACITY_BYTES = 8 << 20;

  /** How long closing waits for calls under way. */
  private static final long LONGEST_CLOSE_NANOS = 10_000_000_000L;

  /** How long healing waits for calls under way, which others wait behind meanwhile. */
  private static final long LONGEST_GATHERING_NANOS = 1_000_000_000L;

  private static final System.Logger LOG = System.getLogger(SsdTier.class.getName());

  private final SsdSettings settings;
  private final DirectoryLock lock;
  private final Staging staging;
  private final SsdHealer healer;

  /**
   * Held shared by whoever uses files or index, alone by who closes or replaces them: RocksDB must not be closed under
   * a call, and pages must not change owners under a reader.
   */
  private final ReentrantReadWriteLock gate = new ReentrantReadWriteLock();

  /** Closed between a failed attempt to heal and the next; replaced under the gate. */
  private volatile SsdStore store;

  /** What the stores before this one had counted. */
  private volatile SsdStats before = new SsdStats(false, false, false, 0, 0, 0, 0);

  private volatile boolean closed;

  /** Guarded by the gate. */
  private boolean released;

  /** Settings of a tier in {@code directory}, which is created when it is opened. */
  public static SsdTierBuilder builder(Path directory, long capacityBytes) {
    return new SsdTierBuilder(directory, capacityBytes);
  }

  /** Takes ownership of the lock, unless this throws. */
  SsdTier(SsdSettings settings, DirectoryLock lock) throws IOException {
    this.settings = settings;
    this.lock = lock;
    staging = new Staging(settings.stagingBytes());
    healer =
        new SsdHealer(settings.owner(), this::heal, settings.firstPauseNanos(), settings.longestPauseNanos());
    store = SsdStore.open(settings, LogPromise.ALL, healer::wake);
  }

  @Override
  public String name() {
    return settings.name();
  }

  @Override
  public Set<TierTrait> traits() {
    return Set.of(TierTrait.DURABLE);
  }

  /** {@inheritDoc} An entry waits for its commit as a whole, in staging memory. */
  @Override
  public long maxEntryBytes() {
    return staging.bytes();
  }

  @Override
  public TierUsage usage() {
    SsdStore current = store;
    return new TierUsage(settings.capacityBytes(), current.usedBytes(), current.entries());
  }

  /** What opening found and how the tier fares. */
  public SsdStats stats() {
    return store.stats().after(before);
  }

  /**
   * {@inheritDoc}
   *
   * <p>Empty as well when the staging memory is taken, the filesystem has less than the floor left, or the tier takes
   * no writes until it has healed.
   */
  @Override
  public Optional<TierWrite> create(EntryId id, byte[] note, long[] partBytes) throws IOException {
    requireNote(note);
    requireLengths(partBytes);
    SsdStore entered = enterToWrite();
    if (entered == null) {
      return Optional.empty();
    }
    try {
      Optional<MemorySegment[]> staged = staging.take(partBytes);
      if (staged.isEmpty()) {
        return Optional.empty();
      }
      SsdWrite claimed = null;
      try {
        claimed = claim(entered, id, note.clone(), partBytes.clone(), staged.get());
        return Optional.ofNullable(claimed);
      } finally {
        if (claimed == null) {
          staging.give(staged.get());
        }
      }
    } finally {
      leave();
    }
  }

  /**
   * A write that has its room, or null. Files cannot be cut where entries are, so that free pages need not be room for
   * the index: small parts go there instead.
   */
  private SsdWrite claim(SsdStore entered, EntryId id, byte[] note, long[] partBytes, MemorySegment[] staged)
      throws IOException {
    for (boolean smallInIndex : new boolean[] {true, false}) {
      SsdWrite write = new SsdWrite(this, entered, id, note, partBytes, staged, smallInIndex);
      if (entered.claim(write.claimedPages(), write.claimedIndexBytes())) {
        return write;
      }
    }
    return null;
  }

  /**
   * {@inheritDoc}
   *
   * <p>It does not where staging memory or the filesystem's space is short, nor while the index awaits compaction or
   * the tier healing.
   */
  @Override
  public boolean removalHelps(long[] partBytes) throws IOException {
    requireLengths(partBytes);
    SsdStore entered = enterToWrite();
    if (entered == null) {
      return false;
    }
    try {
      return staging.has(partBytes) && entered.couldHold(partBytes);
    } finally {
      leave();
    }
  }

  /** Gives back what a write had claimed and did not use. */
  void abandon(SsdWrite write) {
    gate.readLock().lock();
    try {
      if (!released) {
        write.store().abandon(write);
        staging.give(write.staged());
      }
    } finally {
      leave();
    }
  }

  /**
   * Stores what a write has staged. The write is over, whatever becomes of it; the room it has claimed is of one store,
   * and none in that which healing has put in its place.
   */
  void commit(SsdWrite write, long[] partBytes) throws IOException {
    enter();
    try {
      write.store().commit(write, partBytes);
    } finally {
      staging.give(write.staged());
      leave();
    }
  }

  @Override
  public ReadResult read(EntryId id, int part, MemorySegment target, Deadline deadline) {
    if (!enterBy(deadline)) {
      return new ReadResult.Unreadable(new IOException(settings.owner() + " is still being opened again"));
    }
    try {
      return store.closed() ? new ReadResult.Unreadable(store.refusal()) : store.read(id, part, target);
    } finally {
      leave();
    }
  }

  @Override
  public int remove(Collection<EntryId> ids) throws IOException {
    SsdStore entered = enterOrRefuse();
    try {
      return entered.remove(ids);
    } finally {
      leave();
    }
  }

  @Override
  public void annotate(Map<EntryId, byte[]> notes) throws IOException {
    notes.values().forEach(SsdTier::requireNote);
    SsdStore entered = enterOrRefuse();
    try {
      entered.annotate(notes);
    } finally {
      leave();
    }
  }

  /** {@inheritDoc} Records that do not check out are passed over. The callback must not close the tier. */
  @Override
  public void inventory(Consumer<TierEntry> listed) throws IOException {
    enter();
    try {
      if (store.closed()) {
        throw store.refusal();
      }
      store.list(listed);
    } finally {
      leave();
    }
  }

  @Override
  public void flush() throws IOException {
    SsdStore entered = enterOrRefuse();
    try {
      entered.sync();
    } finally {
      leave();
    }
  }

  /** One attempt to have a store that takes writes; whether there is one now, or none is needed any more. */
  boolean heal() {
    if (closed || store.writable()) {
      return true;
    }
    try {
      SsdOpening.probe(settings.directory(), settings.capacityBytes());
      return lockWithin(LONGEST_GATHERING_NANOS) && openAgain();
    } catch (IOException | RuntimeException | OutOfMemoryError e) {
      LOG.log(Level.DEBUG, "{0} cannot heal yet: {1}", settings.owner(), e.getMessage());
      return false;
    }
  }

  /** Gives the gate, which this thread holds alone, back. */
  private boolean openAgain() throws IOException {
    try {
      if (!released) {
        SsdStore sick = store;
        sick.close();
        SsdStore sound = SsdStore.open(settings, sick.promise(), healer::wake);
        SsdStats counted = sick.stats().after(before);
        store = sound;
        before = counted.after(new SsdStats(false, false, false, 0, 0, 0, 1));
        LOG.log(Level.INFO, "{0} takes writes again", settings.owner());
      }
      return true;
    } finally {
      gate.writeLock().unlock();
    }
  }

  /**
   * Waits for calls under way. Writes that are still open are over, and their memory must not be touched again.
   *
   * @throws IOException when a call hangs: nothing is released then, and closing again tries again
   */
  @Override
  public void close() throws IOException {
    close(LONGEST_CLOSE_NANOS);
  }

  void close(long longestNanos) throws IOException {
    closed = true;
    healer.close();
    if (!lockWithin(longestNanos)) {
      throw new IOException("tier " + name() + " has not returned from a call, so it cannot be released");
    }
    try {
      if (!released) {
        released = true;
        closeAll();
      }
    } finally {
      gate.writeLock().unlock();
    }
  }

  private void closeAll() throws IOException {
    SsdStore last = store;
    try (lock; staging; last) { // closed in the opposite order
    }
  }

  /** For tests that stage failures. */
  SsdStore store() {
    return store;
  }

  private void enter() {
    gate.readLock().lock();
    requireOpen();
  }

  private void requireOpen() {
    if (closed) {
      gate.readLock().unlock();
      throw new IllegalStateException("tier " + name() + " is closed");
    }
  }

  /** As {@link #enter}, unless that takes longer than a caller waits. */
  private boolean enterBy(Deadline deadline) {
    boolean entered = lockWithin(gate.readLock(), Math.max(0, deadline.remainingNanos()));
    if (entered) {
      requireOpen();
    }
    return entered;
  }

  /** The store, entered; null when it takes no writes. Does not wait where it is just being opened again. */
  private SsdStore enterToWrite() {
    if (!closed && !store.writable()) {
      return null;
    }
    enter();
    SsdStore entered = store;
    if (entered.writable()) {
      return entered;
    }
    leave();
    return null;
  }

  private SsdStore enterOrRefuse() throws IOException {
    SsdStore entered = enterToWrite();
    if (entered == null) {
      throw store.refusal();
    }
    return entered;
  }

  private void leave() {
    gate.readLock().unlock();
  }

  private boolean lockWithin(long nanos) {
    return lockWithin(gate.writeLock(), nanos);
  }

  /** An interrupt does not end it: what is open has to be closed, what is stored to be read. */
  private static boolean lockWithin(Lock wanted, long nanos) {
    boolean interrupted = Thread.interrupted();
    long start = System.nanoTime();
    try {
      while (true) {
        try {
          return wanted.tryLock(nanos - (System.nanoTime() - start), TimeUnit.NANOSECONDS);
        } catch (InterruptedException e) {
          interrupted = true;
        }
      }
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  private static void requireNote(byte[] note) {
    if (note.length > MAX_NOTE_BYTES) {
      throw new IllegalArgumentException("note has " + note.length + " bytes, at most " + MAX_NOTE_BYTES);
    }
  }

  private static void requireLengths(long[] partBytes) {
    if (partBytes.length == 0) {
      throw new IllegalArgumentException("an entry of 0 parts, must be at least 1");
    }
    for (int i = 0; i < partBytes.length; i++) {
      if (partBytes[i] < 1) {
        throw new IllegalArgumentException(
            "part " + i + " has " + partBytes[i] + " bytes, must be at least 1");
      }
    }
  }
}
