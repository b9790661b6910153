package io.kvcache.tiers;

import io.kvcache.spi.Deadline;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.MalformedDataException;
import io.kvcache.spi.ReadResult;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierEntry;
import io.kvcache.spi.TierTrait;
import io.kvcache.spi.TierUsage;
import io.kvcache.spi.TierWrite;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.FileStore;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
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
 * <p>Errors: once a sync or an index write has failed nothing on disk is certain any more. Stores, removals and
 * notes are then refused with an {@link IOException} until the tier is opened again; reads go on.
 *
 * <p>Ownership: the directory is this tier's alone while it is open. Threads: any, concurrently; an interrupted
 * caller harms nobody else. Needs {@code org.rocksdb:rocksdbjni}.
 */
public final class SsdTier implements Tier {
  /** Least capacity, in bytes. */
  public static final long MIN_CAPACITY_BYTES = 8 << 20;

  /** How long closing waits for calls under way. */
  private static final long LONGEST_CLOSE_NANOS = 10_000_000_000L;

  private final String name;
  private final long capacityBytes;
  private final long freeSpaceFloorBytes;
  private final FileStore disk;
  private final DirectoryLock lock;
  private final ExtentFiles files;
  private final SsdIndex index;
  private final SsdRecords records;
  private final Space space;
  private final IndexSize indexSize;
  private final Staging staging;
  private final Readers readers;
  private final SsdStats atOpen;

  /** Held shared by whoever uses files or index, alone by close: RocksDB must not be closed under a call. */
  private final ReentrantReadWriteLock gate = new ReentrantReadWriteLock();

  private volatile boolean closed;

  /** Guarded by the gate. */
  private boolean released;

  /** Settings of a tier in {@code directory}, which is created when it is opened. */
  public static SsdTierBuilder builder(Path directory, long capacityBytes) {
    return new SsdTierBuilder(directory, capacityBytes);
  }

  SsdTier(SsdTierBuilder settings, SsdOpening opened) {
    name = settings.name();
    capacityBytes = settings.capacityBytes();
    freeSpaceFloorBytes = settings.floorBytes(opened.diskBytes());
    disk = opened.disk();
    lock = opened.lock();
    files = opened.files();
    index = opened.index();
    space = opened.space();
    indexSize = new IndexSize(index, space, SsdOpening.reserveBytes(capacityBytes));
    staging = new Staging(settings.stagingBytes());
    readers = new Readers(space::free);
    SsdSurvey survey = opened.survey();
    records = new SsdRecords("tier " + name + " in " + settings.directory(), index, survey);
    atOpen = new SsdStats(files.direct(), true, opened.indexReplaced(), survey.damaged(), survey.misplaced(),
        survey.shrunk());
  }

  @Override
  public String name() {
    return name;
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
    return new TierUsage(capacityBytes, space.usedBytes(), records.entries());
  }

  /** What opening found and how the tier fares. */
  public SsdStats stats() {
    return new SsdStats(atOpen.directIo(), records.writable(), atOpen.indexReplaced(), records.damaged(),
        atOpen.misplacedEntries(), atOpen.shrunkEntries());
  }

  /**
   * {@inheritDoc}
   *
   * <p>Empty as well when the staging memory is taken, or the filesystem has less than the floor left.
   */
  @Override
  public Optional<TierWrite> create(EntryId id, byte[] note, long[] partBytes) throws IOException {
    requireNote(note);
    requireLengths(partBytes);
    enter();
    try {
      records.requireWritable();
      Optional<MemorySegment[]> staged = staging.take(partBytes);
      if (staged.isEmpty()) {
        return Optional.empty();
      }
      SsdWrite claimed = null;
      try {
        claimed = claim(id, note.clone(), partBytes.clone(), staged.get());
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
   * {@inheritDoc}
   *
   * <p>It does not where staging memory or the filesystem's space is short, nor while the index awaits compaction.
   */
  @Override
  public boolean removalHelps(long[] partBytes) throws IOException {
    requireLengths(partBytes);
    enter();
    try {
      long pages = SsdWrite.pages(partBytes, true);
      long indexBytes = SsdWrite.indexBytes(partBytes, true);
      return staging.has(partBytes) && mayWrite(pages, indexBytes) && space.couldHold(pages, indexBytes);
    } finally {
      leave();
    }
  }

  /**
   * A write that has its room, or null. Files cannot be cut where entries are, so that free pages need not be room for
   * the index: small parts go there instead.
   */
  private SsdWrite claim(EntryId id, byte[] note, long[] partBytes, MemorySegment[] staged)
      throws IOException {
    for (boolean smallInIndex : new boolean[] {true, false}) {
      SsdWrite write = new SsdWrite(this, id, note, partBytes, staged, smallInIndex);
      long pages = write.claimedPages();
      long indexBytes = write.claimedIndexBytes();
      if (mayWrite(pages, indexBytes) && space.claim(pages, indexBytes)) {
        return write;
      }
    }
    return null;
  }

  /** Whether filesystem and index can take so much more, whatever entries there are. */
  private boolean mayWrite(long pages, long indexBytes) throws IOException {
    long wanted = space.claimedBytes() + pages * Pages.BYTES + indexBytes;
    return disk.getUsableSpace() - wanted >= freeSpaceFloorBytes && indexSize.isWithinAllowance();
  }

  /** Gives back what a write had claimed and did not use. */
  void abandon(SsdWrite write) {
    gate.readLock().lock();
    try {
      if (!released) {
        space.unclaim(write.claimedPages(), write.claimedIndexBytes());
        staging.give(write.staged());
      }
    } finally {
      leave();
    }
  }

  /** Stores what a write has staged. The write is over, whatever becomes of it. */
  void commit(SsdWrite write, long[] partBytes) throws IOException {
    enter();
    long pagesLeft = write.claimedPages();
    long indexBytesLeft = write.claimedIndexBytes();
    try {
      records.requireWritable();
      List<SsdEntry.Part> parts = new ArrayList<>();
      try {
        storeParts(write, partBytes, parts);
      } finally {
        pagesLeft -= pages(parts);
      }
      Optional<SsdEntry> older = publish(write, parts);
      long indexBytes = SsdEntry.indexBytes(parts);
      indexBytesLeft -= indexBytes;
      older.ifPresent(entry -> retire(write.id(), entry));
      indexSize.changed(indexBytes);
    } finally {
      space.unclaim(pagesLeft, indexBytesLeft);
      staging.give(write.staged());
      leave();
    }
  }

  /** Writes the large parts and makes them durable; on failure gives their pages back. */
  private void storeParts(SsdWrite write, long[] partBytes, List<SsdEntry.Part> parts) throws IOException {
    Set<Integer> written = new LinkedHashSet<>();
    try {
      for (int i = 0; i < partBytes.length; i++) {
        List<Extent> extents = List.of();
        if (!write.isSmall(i)) {
          extents = space.allocate(Pages.holding(partBytes[i]));
        }
        parts.add(new SsdEntry.Part(partBytes[i], extents));
        extents.forEach(extent -> written.add(extent.file()));
        MemorySegment staged = write.staged()[i];
        long whole = Pages.roundUp(partBytes[i]);
        staged.asSlice(partBytes[i], whole - partBytes[i]).fill((byte) 0); // others' bytes do not go to disk
        files.write(extents, staged);
      }
    } catch (IOException e) {
      releaseParts(parts);
      throw e;
    }
    try {
      files.sync(written);
    } catch (IOException e) {
      releaseParts(parts);
      throw records.fail(e);
    }
  }

  /** On failure gives the pages back, unless the record may be on disk nevertheless. */
  private Optional<SsdEntry> publish(SsdWrite write, List<SsdEntry.Part> parts) throws IOException {
    try {
      return records.replace(write.id(), parts, write.note(), write.staged());
    } catch (IOException e) {
      if (records.writable()) {
        releaseParts(parts);
      }
      throw e;
    }
  }

  private void releaseParts(List<SsdEntry.Part> parts) {
    parts.forEach(part -> space.free(part.extents()));
  }

  private static long pages(List<SsdEntry.Part> parts) {
    long pages = 0;
    for (SsdEntry.Part part : parts) {
      pages += part.pages();
    }
    return pages;
  }

  /** Frees what an entry had that is durably out of the index. */
  private void retire(EntryId id, SsdEntry entry) {
    space.unclaim(0, entry.indexBytes());
    indexSize.changed(entry.indexBytes());
    readers.retire(id, entry.extents());
  }

  @Override
  public ReadResult read(EntryId id, int part, MemorySegment target, Deadline deadline) {
    enter();
    try {
      Readers.Group group = readers.enter(id);
      try {
        return read(SsdEntry.key(id), part, target);
      } catch (IOException | MalformedDataException e) {
        return new ReadResult.Unreadable(e);
      } finally {
        readers.leave(id, group);
      }
    } finally {
      leave();
    }
  }

  private ReadResult read(byte[] key, int part, MemorySegment target)
      throws IOException, MalformedDataException {
    long lost = -1;
    while (true) {
      Optional<SsdEntry> found = records.find(key);
      if (found.isEmpty() || part < 0 || part >= found.get().parts().size()) {
        return new ReadResult.Missing();
      }
      SsdEntry entry = found.get();
      SsdEntry.Part stored = entry.parts().get(part);
      long whole = Pages.roundUp(stored.bytes());
      if (target.byteSize() < whole) {
        return new ReadResult.Missing();
      }
      if (!stored.small()) {
        requireAligned(target);
        files.read(stored.extents(), target.asSlice(0, whole));
        return new ReadResult.Present(stored.bytes());
      }
      int bytes = index.part(entry.sequence(), part, target.asSlice(0, whole));
      if (bytes == stored.bytes()) {
        return new ReadResult.Present(bytes);
      }
      if (bytes >= 0 || entry.sequence() == lost) {
        throw new MalformedDataException("part " + part + " has " + bytes + " bytes, not " + stored.bytes());
      }
      lost = entry.sequence(); // unless the entry was replaced between the two look-ups, it is damaged
    }
  }

  @Override
  public int remove(Collection<EntryId> ids) throws IOException {
    enter();
    try {
      records.requireWritable();
      Map<EntryId, SsdEntry> removed = records.remove(ids);
      removed.forEach(this::retire);
      return removed.size();
    } finally {
      leave();
    }
  }

  @Override
  public void annotate(Map<EntryId, byte[]> notes) throws IOException {
    notes.values().forEach(SsdTier::requireNote);
    enter();
    try {
      records.requireWritable();
      records.annotate(notes);
      indexSize.changed(notes.size() * (long) MAX_NOTE_BYTES);
    } finally {
      leave();
    }
  }

  /** {@inheritDoc} Records that do not check out are passed over. The callback must not close the tier. */
  @Override
  public void inventory(Consumer<TierEntry> listed) throws IOException {
    enter();
    try {
      records.list(listed);
    } finally {
      leave();
    }
  }

  @Override
  public void flush() throws IOException {
    enter();
    try {
      records.requireWritable();
      records.sync();
    } finally {
      leave();
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
    if (!lockWithin(longestNanos)) {
      throw new IOException("tier " + name + " has not returned from a call, so it cannot be released");
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

  /** An interrupt does not end it: what is open has to be closed. */
  private boolean lockWithin(long nanos) {
    boolean interrupted = false;
    long start = System.nanoTime();
    try {
      while (true) {
        try {
          return gate.writeLock().tryLock(nanos - (System.nanoTime() - start), TimeUnit.NANOSECONDS);
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

  private void closeAll() throws IOException {
    try (lock; files; staging; index) { // closed in the opposite order
      if (records.writable()) {
        index.flush();
      }
    }
  }

  /** For tests that stage failures. */
  SsdRecords records() {
    return records;
  }

  private void enter() {
    gate.readLock().lock();
    if (closed) {
      gate.readLock().unlock();
      throw new IllegalStateException("tier " + name + " is closed");
    }
  }

  private void leave() {
    gate.readLock().unlock();
  }

  private void requireAligned(MemorySegment target) {
    if (!target.isNative() || target.address() % ALIGNMENT != 0) {
      throw new IllegalArgumentException(
          "target is at address " + target.address() + ", must be native and a multiple of " + ALIGNMENT);
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
