package io.kvcache.tiers;

import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.file.DirectoryStream;
import java.nio.file.FileStore;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Brings a store up, step by step; what is open when a step fails is closed again. The same at first and after a
 * failure that left uncertain what is on disk, without trust in what memory knew.
 *
 * <p>After a sync that failed, reading a file may show what never reached the disk, as long as the page cache has it,
 * or no longer show what was written. Neither does harm. What a record names was synced before the record was written,
 * so that a record that is found has its pages on disk; other pages are named by none, and written in full before they
 * are. What RocksDB finds in its log it writes anew, into tables that it syncs, before it takes writes. And what was
 * acknowledged was synced at the time: only behind that, which {@link LogPromise} says, may the log read as anything.
 */
final class SsdOpening {
  private static final System.Logger LOG = System.getLogger(SsdTier.class.getName());
  private static final String INDEX = "index";
  private static final String DAMAGED_INDEX = "index.damaged";

  private final Path directory;
  private final long capacityBytes;
  private final LogPromise promise;
  private final long reserveBytes;
  private final FileStore disk;
  private final long diskBytes;
  private ExtentFiles files;
  private SsdIndex index;
  private SsdSurvey survey;
  private Space space;
  private boolean indexReplaced;

  /**
   * Takes possession of a directory, which is created when it does not exist.
   *
   * @throws IllegalArgumentException when the capacity is more than the filesystem has
   */
  static DirectoryLock lock(Path directory, long capacityBytes) throws IOException {
    OwnerOnly.createDirectory(directory);
    if (!Files.isWritable(directory)) {
      throw new IOException(directory + " is not writable");
    }
    long diskBytes = Files.getFileStore(directory).getTotalSpace();
    if (capacityBytes > diskBytes) {
      throw new IllegalArgumentException(
          "capacityBytes is " + capacityBytes + ", the filesystem of " + directory + " has " + diskBytes);
    }
    return DirectoryLock.acquire(directory);
  }

  /**
   * Opens the store in a directory that is locked.
   *
   * @param promise how much of the index's logs must be sound
   */
  static SsdOpening open(Path directory, long capacityBytes, LogPromise promise) throws IOException {
    SsdOpening opening = new SsdOpening(directory, capacityBytes, promise);
    try {
      opening.run();
      return opening;
    } catch (IOException | RuntimeException | Error e) { // the last, where there is no native library, or memory
      opening.abandon(e);
      throw e;
    }
  }

  private SsdOpening(Path directory, long capacityBytes, LogPromise promise) throws IOException {
    this.directory = directory;
    this.promise = promise;
    this.capacityBytes = capacityBytes;
    reserveBytes = reserveBytes(capacityBytes);
    disk = Files.getFileStore(directory);
    diskBytes = disk.getTotalSpace();
  }

  /**
   * Fails where opening again would most likely fail too: where a file cannot be written and synced, or replaying the
   * log could fill the disk. Until this succeeds the old handles are better than none, since they can be read from.
   */
  static void probe(Path directory, long capacityBytes) throws IOException {
    long free = Files.getFileStore(directory).getUsableSpace();
    long needed = reserveBytes(capacityBytes) / 8;
    if (free < needed) {
      throw new IOException(directory + " has " + free + " bytes free, opening it may take " + needed);
    }
    DirectIo.requireSyncs(directory);
    ExtentFiles.syncDirectory(directory);
  }

  /** What is set aside of a capacity for the index's logs, compactions and fixed files, in bytes. */
  static long reserveBytes(long capacityBytes) {
    return Math.clamp(capacityBytes / 16, 4L << 20, 256L << 20);
  }

  FileStore disk() {
    return disk;
  }

  /** Size of the filesystem. */
  long diskBytes() {
    return diskBytes;
  }

  ExtentFiles files() {
    return files;
  }

  SsdIndex index() {
    return index;
  }

  SsdSurvey survey() {
    return survey;
  }

  Space space() {
    return space;
  }

  /** Whether the index was damaged and an empty one took its place. */
  boolean indexReplaced() {
    return indexReplaced;
  }

  private void run() throws IOException {
    SsdMarker.ensure(directory);
    files = ExtentFiles.open(directory);
    if (!files.direct()) {
      LOG.log(Level.WARNING, "{0}: no direct I/O here, extents go through the page cache", directory);
    }
    OwnerOnly.createDirectory(directory.resolve(INDEX));
    try {
      openIndex();
    } catch (DamagedIndexException e) { // not where the disk fails or is full: all would be given up for that
      LOG.log(Level.WARNING, "{0}: the index is damaged, starting empty: {1}", directory, e.getMessage());
      indexReplaced = true;
      setIndexAside();
      openIndex();
    }
    ExtentFiles.syncDirectory(directory);
    space = new Space(capacityBytes - asideBytes(), reserveBytes, files);
    space.restore(survey.usedPages(), survey.indexBytes());
    if (!space.fit()) {
      throw new IOException(directory + ": extent files cannot be cut to a capacity of " + capacityBytes);
    }
  }

  private void openIndex() throws IOException {
    index = SsdIndex.open(directory.resolve(INDEX), reserveBytes, promise);
    try {
      survey = new SsdSurvey(index, files.pages(), capacityBytes - asideBytes() - reserveBytes);
      survey.run();
    } catch (IOException | RuntimeException e) {
      index.close();
      index = null;
      throw e;
    }
  }

  /** Keeps the latest damaged index for a look at it, unless it would take more than a sixteenth of the cap. */
  private void setIndexAside() throws IOException {
    Path damaged = directory.resolve(INDEX);
    Path aside = directory.resolve(DAMAGED_INDEX);
    delete(aside);
    if (SsdIndex.bytesIn(damaged) <= capacityBytes / 16) {
      Files.move(damaged, aside);
    } else {
      delete(damaged);
    }
    OwnerOnly.createDirectory(damaged);
  }

  private long asideBytes() throws IOException {
    Path aside = directory.resolve(DAMAGED_INDEX);
    return Files.isDirectory(aside) ? SsdIndex.bytesIn(aside) : 0;
  }

  /** Deletes a directory of plain files, if it is there. */
  private static void delete(Path directory) throws IOException {
    if (Files.isDirectory(directory)) {
      try (DirectoryStream<Path> entries = Files.newDirectoryStream(directory)) {
        for (Path entry : entries) {
          Files.delete(entry);
        }
      }
      Files.delete(directory);
    }
  }

  private void abandon(Throwable cause) {
    try {
      if (index != null) {
        index.close();
      }
      if (files != null) {
        files.close();
      }
    } catch (IOException e) {
      cause.addSuppressed(e);
    }
  }
}
