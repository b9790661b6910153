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
import java.lang.System.Logger.Level;
import java.lang.foreign.MemorySegment;
import java.nio.file.FileStore;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.ReentrantLock;
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

  private static final System.Logger LOG = System.getLogger(SsdTier.class.getName());

  private final String name;
  private final Path directory;
  private final long capacityBytes;
  private final long freeSpaceFloorBytes;
  private final FileStore disk;
  private final DirectoryLock lock;
  private final ExtentFiles files;
  private final SsdIndex index;
  private final Space space;
  private final IndexSize indexSize;
  private final Staging staging;
  private final Readers readers;
  private final SsdStats atOpen;
  private final AtomicLong entries;
  private final AtomicLong nextSequence;
  private final AtomicLong damagedRecords;

  /** Held shared by whoever uses files or index, alone by close: RocksDB must not be closed under a call. */
  private final ReentrantReadWriteLock gate = new ReentrantReadWriteLock();

  /** Held from looking a record up until it is replaced, so that nobody's extents are freed twice or forgotten. */
  private final ReentrantLock recordLock = new ReentrantLock();

  private volatile boolean closed;
  private volatile IOException failure;

  /** Settings of a tier in {@code directory}, which is created when it is opened. */
  public static SsdTierBuilder builder(Path directory, long capacityBytes) {
    return new SsdTierBuilder(directory, capacityBytes);
  }

  SsdTier(SsdTierBuilder settings, SsdOpening opened) {
    name = settings.name();
    directory = settings.directory();
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
    entries = new AtomicLong(survey.entries());
    nextSequence = new AtomicLong(survey.lastSequence() + 1);
    damagedRecords = new AtomicLong(survey.damaged());
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

  @Override
  public TierUsage usage() {
    return new TierUsage(capacityBytes, space.usedBytes(), entries.get());
  }

  /** What opening found and how the tier fares. */
  public SsdStats stats() {
    return new SsdStats(atOpen.directIo(), failure == null, atOpen.indexReplaced(), damagedRecords.get(),
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
      requireWritable();
      Optional<MemorySegment[]> staged = staging.take(partBytes);
      if (staged.isEmpty()) {
        return Optional.empty();
      }
      boolean claimed = false;
      try {
        SsdWrite write = new SsdWrite(this, id, note.clone(), partBytes.clone(), staged.get());
        claimed = claim(write);
        return claimed ? Optional.of(write) : Optional.empty();
      } finally {
        if (!claimed) {
          staging.give(staged.get());
        }
      }
    } finally {
      leave();
    }
  }

  private boolean claim(SsdWrite write) throws IOException {
    long pages = write.claimedPages();
    long indexBytes = write.claimedIndexBytes();
    long wanted = space.claimedBytes() + pages * Pages.BYTES + indexBytes;
    return disk.getUsableSpace() - wanted >= freeSpaceFloorBytes
        && indexSize.isWithinAllowance()
        && space.claim(pages, indexBytes);
  }

  /** Gives back what a write had claimed and did not use. */
  void abandon(SsdWrite write) {
    gate.readLock().lock();
    try {
      if (!closed) {
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
      requireWritable();
      List<SsdEntry.Part> parts = new ArrayList<>();
      try {
        storeParts(write, partBytes, parts);
      } finally {
        pagesLeft -= pages(parts);
      }
      SsdEntry entry = new SsdEntry(nextSequence.getAndIncrement(), parts, write.note());
      indexBytesLeft -= entry.indexBytes();
      publish(write, entry);
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
      throw fail(e);
    }
  }

  private void releaseParts(List<SsdEntry.Part> parts) {
    parts.forEach(part -> space.free(part.extents()));
  }

  private static long pages(List<SsdEntry.Part> parts) {
    long pages = 0;
    for (SsdEntry.Part part : parts) {
      pages += part.small() ? 0 : Pages.holding(part.bytes());
    }
    return pages;
  }

  private void publish(SsdWrite write, SsdEntry entry) throws IOException {
    byte[] key = SsdEntry.key(write.id());
    Optional<SsdEntry> older;
    recordLock.lock();
    try (SsdIndex.Batch batch = index.batch()) {
      older = findSound(key);
      if (older.isPresent()) {
        batch.deleteParts(older.get());
      }
      for (int i = 0; i < entry.parts().size(); i++) {
        SsdEntry.Part part = entry.parts().get(i);
        if (part.small()) {
          batch.putPart(entry.sequence(), i, write.staged()[i].asSlice(0, part.bytes()));
        }
      }
      batch.put(key, entry.encode(key));
      batch.write();
      entries.addAndGet(older.isPresent() ? 0 : 1);
    } catch (IOException e) {
      throw fail(e);
    } finally {
      recordLock.unlock();
    }
    indexSize.wrote(entry.indexBytes());
    if (older.isPresent()) {
      syncIndex();
      retire(write.id(), older.get());
    }
  }

  /** Frees what an entry had that is durably out of the index. */
  private void retire(EntryId id, SsdEntry entry) {
    space.unclaim(0, entry.indexBytes());
    readers.retire(id, entry.extents());
  }

  @Override
  public ReadResult read(EntryId id, int part, MemorySegment target, Deadline deadline) {
    enter();
    try {
      Readers.Group group = readers.enter(id);
      try {
        return read(SsdEntry.key(id), part, target);
      } catch (IOException e) {
        return new ReadResult.Unreadable(e);
      } catch (MalformedDataException e) {
        damagedRecords.incrementAndGet();
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
      Optional<SsdEntry> found = find(key);
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
      requireWritable();
      Map<EntryId, SsdEntry> removed = new HashMap<>();
      recordLock.lock();
      try (SsdIndex.Batch batch = index.batch()) {
        for (EntryId id : new LinkedHashSet<>(ids)) {
          byte[] key = SsdEntry.key(id);
          Optional<SsdEntry> entry = findSound(key);
          if (entry.isPresent()) {
            batch.deleteParts(entry.get());
            removed.put(id, entry.get());
          }
          batch.delete(key);
        }
        batch.write();
        entries.addAndGet(-removed.size());
      } catch (IOException e) {
        throw fail(e);
      } finally {
        recordLock.unlock();
      }
      syncIndex();
      removed.forEach(this::retire);
      indexSize.wrote((long) removed.size() * SsdEntry.KEY_BYTES);
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
      requireWritable();
      recordLock.lock();
      try (SsdIndex.Batch batch = index.batch()) {
        for (Map.Entry<EntryId, byte[]> note : notes.entrySet()) {
          byte[] key = SsdEntry.key(note.getKey());
          Optional<SsdEntry> entry = findSound(key);
          if (entry.isPresent()) {
            batch.put(key, entry.get().withNote(note.getValue()).encode(key));
          }
        }
        batch.write();
      } catch (IOException e) {
        throw fail(e);
      } finally {
        recordLock.unlock();
      }
      indexSize.wrote(notes.size() * (long) MAX_NOTE_BYTES);
    } finally {
      leave();
    }
  }

  /** {@inheritDoc} Records that do not check out are passed over. The callback must not close the tier. */
  @Override
  public void inventory(Consumer<TierEntry> listed) throws IOException {
    enter();
    try {
      index.scan((key, record) -> {
        try {
          SsdEntry entry = SsdEntry.decode(key, record);
          listed.accept(new TierEntry(SsdEntry.id(key), entry.note(),
              entry.indexBytes() + entry.pages() * Pages.BYTES));
        } catch (MalformedDataException e) {
          damagedRecords.incrementAndGet();
        }
      });
    } finally {
      leave();
    }
  }

  @Override
  public void flush() throws IOException {
    enter();
    try {
      requireWritable();
      syncIndex();
    } finally {
      leave();
    }
  }

  /** Waits for calls under way. Writes that are still open are over, and their memory must not be touched again. */
  @Override
  public void close() throws IOException {
    gate.writeLock().lock();
    try {
      if (!closed) {
        closed = true;
        closeAll();
      }
    } finally {
      gate.writeLock().unlock();
    }
  }

  private void closeAll() throws IOException {
    try (lock; files; staging; index) { // closed in the opposite order
      if (failure == null) {
        index.flush();
      }
    }
  }

  private Optional<SsdEntry> find(byte[] key) throws IOException, MalformedDataException {
    byte[] record = index.record(key);
    return record == null ? Optional.empty() : Optional.of(SsdEntry.decode(key, record));
  }

  /** As {@link #find}; a damaged record is none, and its pages stay taken until the tier is opened again. */
  private Optional<SsdEntry> findSound(byte[] key) throws IOException {
    try {
      return find(key);
    } catch (MalformedDataException e) {
      damagedRecords.incrementAndGet();
      return Optional.empty();
    }
  }

  private void syncIndex() throws IOException {
    try {
      index.sync();
    } catch (IOException e) {
      throw fail(e);
    }
  }

  /** Ends all writing, because what is on disk now is uncertain; returns what to throw. */
  IOException fail(IOException cause) {
    if (failure == null) {
      failure = cause;
      LOG.log(Level.WARNING, "tier {0} in {1} takes no more writes: {2}", name, directory,
          cause.getMessage());
    }
    return cause;
  }

  private void requireWritable() throws IOException {
    if (failure != null) {
      throw new IOException("tier " + name + " in " + directory + " takes no writes until it is opened again",
          failure);
    }
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
