package io.kvcache.tiers;

import io.kvcache.spi.EntryId;
import io.kvcache.spi.MalformedDataException;
import io.kvcache.spi.ReadResult;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierEntry;
import java.io.IOException;
import java.io.SyncFailedException;
import java.lang.foreign.MemorySegment;
import java.nio.file.FileStore;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;

/**
 * A tier's directory from one opening to the next: extent files, index and the books of both. After the first failure
 * that leaves uncertain what is on disk it takes no writes for the rest of its life, which its owner ends by opening
 * the directory again.
 *
 * <p>Any thread, concurrently; but nobody may be inside when it is closed, nor use the files or the index afterwards,
 * which is the owner's duty. What only concerns the books may still be called then.
 */
final class SsdStore implements AutoCloseable {
  private final long freeSpaceFloorBytes;
  private final FileStore disk;
  private final ExtentFiles files;
  private final SsdIndex index;
  private final SsdRecords records;
  private final Space space;
  private final IndexSize indexSize;
  private final Readers readers;
  private final SsdSurvey survey;
  private final boolean indexReplaced;
  private volatile boolean closed;

  /**
   * Opens the store in the tier's directory.
   *
   * @param promise how much of the index's logs must be sound
   * @param onFailure run at the failure after which no writes are taken, from the thread that met it
   */
  static SsdStore open(SsdSettings settings, LogPromise promise, Runnable onFailure) throws IOException {
    SsdOpening opened = SsdOpening.open(settings.directory(), settings.capacityBytes(), promise);
    return new SsdStore(settings, opened, onFailure);
  }

  private SsdStore(SsdSettings settings, SsdOpening opened, Runnable onFailure) {
    disk = opened.disk();
    freeSpaceFloorBytes = settings.floorBytes(opened.diskBytes());
    files = opened.files();
    index = opened.index();
    space = opened.space();
    survey = opened.survey();
    indexReplaced = opened.indexReplaced();
    indexSize = new IndexSize(index, space, settings.reserveBytes());
    readers = new Readers(space::free);
    records = new SsdRecords(settings.owner(), index, survey, onFailure);
  }

  /** What this opening found and how it fares. */
  SsdStats stats() {
    return new SsdStats(files.direct(), writable(), indexReplaced, records.damaged(), survey.misplaced(),
        survey.shrunk(), 0);
  }

  long usedBytes() {
    return space.usedBytes();
  }

  long entries() {
    return records.entries();
  }

  boolean closed() {
    return closed;
  }

  boolean writable() {
    return !closed && records.writable();
  }

  /** What to throw where writes are asked for and not taken. */
  IOException refusal() {
    return records.refusal();
  }

  /** What the next store in this directory must find in the index's logs. */
  LogPromise promise() {
    return index.promise();
  }

  /** For tests that stage failures. */
  SsdRecords records() {
    return records;
  }

  /** Whether these parts would have room without any entries; false as well where the index awaits compaction. */
  boolean couldHold(long[] partBytes) throws IOException {
    long pages = SsdWrite.pages(partBytes, true);
    long indexBytes = SsdWrite.indexBytes(partBytes, true);
    return mayWrite(pages, indexBytes) && space.couldHold(pages, indexBytes);
  }

  /** Claims room for a write; false when there is none. */
  boolean claim(long pages, long indexBytes) throws IOException {
    return mayWrite(pages, indexBytes) && space.claim(pages, indexBytes);
  }

  /** Whether filesystem and index can take so much more, whatever entries there are. */
  private boolean mayWrite(long pages, long indexBytes) throws IOException {
    long wanted = space.claimedBytes() + pages * Pages.BYTES + indexBytes;
    return disk.getUsableSpace() - wanted >= freeSpaceFloorBytes && isIndexWithinAllowance();
  }

  private boolean isIndexWithinAllowance() throws IOException {
    try {
      return indexSize.isWithinAllowance();
    } catch (IOException e) {
      throw records.fail(e); // a compaction is index writes too
    }
  }

  /** Gives back what a write had claimed and did not use. */
  void abandon(SsdWrite write) {
    space.unclaim(write.claimedPages(), write.claimedIndexBytes());
  }

  /** Stores what a write has staged, which had its room from {@link #claim}; it has none any more afterwards. */
  void commit(SsdWrite write, long[] partBytes) throws IOException {
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
      Optional<SsdEntry> older = publish(write, parts);
      long indexBytes = SsdEntry.indexBytes(parts);
      indexBytesLeft -= indexBytes;
      older.ifPresent(entry -> retire(write.id(), entry));
      indexSize.changed(indexBytes);
    } finally {
      space.unclaim(pagesLeft, indexBytesLeft);
    }
  }

  private void requireWritable() throws IOException {
    if (!writable()) {
      throw refusal();
    }
  }

  /**
   * Writes the large parts and makes them durable; on failure gives their pages back. A write that failed leaves
   * pages that nothing points to, and is over; a sync that failed says nothing of what it was about.
   */
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
      files.sync(written);
    } catch (IOException e) {
      releaseParts(parts);
      throw e instanceof SyncFailedException ? records.fail(e) : e;
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

  ReadResult read(EntryId id, int part, MemorySegment target) {
    Readers.Group group = readers.enter(id);
    try {
      return read(SsdEntry.key(id), part, target);
    } catch (IOException | MalformedDataException e) {
      return new ReadResult.Unreadable(e);
    } finally {
      readers.leave(id, group);
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

  int remove(Collection<EntryId> ids) throws IOException {
    requireWritable();
    Map<EntryId, SsdEntry> removed = records.remove(ids);
    removed.forEach(this::retire);
    return removed.size();
  }

  void annotate(Map<EntryId, byte[]> notes) throws IOException {
    requireWritable();
    records.annotate(notes);
    indexSize.changed(notes.size() * (long) Tier.MAX_NOTE_BYTES);
  }

  void list(Consumer<TierEntry> listed) throws IOException {
    records.list(listed);
  }

  void sync() throws IOException {
    requireWritable();
    records.sync();
  }

  /** Closes files and index; the latter without anything to replay at the next opening, where it still takes writes. */
  @Override
  public void close() throws IOException {
    if (closed) {
      return;
    }
    boolean sound = writable();
    closed = true;
    try (files; index) { // closed in the opposite order
      if (sound) {
        index.flush();
      }
    }
  }

  private static void requireAligned(MemorySegment target) {
    if (!target.isNative() || target.address() % Tier.ALIGNMENT != 0) {
      throw new IllegalArgumentException("target is at address " + target.address()
          + ", must be native and a multiple of " + Tier.ALIGNMENT);
    }
  }
}
