package io.kvcache.tiers;

import java.io.IOException;
import java.io.SyncFailedException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.FileChannel;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The extent files of a directory, {@code extents-00000} and on. Any thread, concurrently. */
final class ExtentFiles implements AutoCloseable {
  private static final Pattern NAME = Pattern.compile("extents-(\\d{5,9})");

  private final Path directory;
  private final boolean direct;
  private final Set<OpenOption> options = new HashSet<>();
  private final Map<Integer, ExtentFile> files = new ConcurrentHashMap<>();

  /** Opens every extent file there is. */
  static ExtentFiles open(Path directory) throws IOException {
    ExtentFiles opened = new ExtentFiles(directory, DirectIo.probe(directory).orElse(null));
    try (DirectoryStream<Path> listing = Files.newDirectoryStream(directory)) {
      for (Path path : listing) {
        Matcher name = NAME.matcher(path.getFileName().toString());
        if (name.matches()) {
          opened.files.put(Integer.valueOf(name.group(1)), new ExtentFile(path, opened.options));
        }
      }
      return opened;
    } catch (IOException e) {
      opened.close();
      throw e;
    }
  }

  private ExtentFiles(Path directory, OpenOption directOption) {
    this.directory = directory;
    direct = directOption != null;
    options.addAll(Set.of(StandardOpenOption.READ, StandardOpenOption.WRITE));
    if (direct) {
      options.add(directOption);
    }
  }

  /** Whether I/O goes past the page cache. */
  boolean direct() {
    return direct;
  }

  /** Numbers of the files there are, with their length in whole pages. */
  Map<Integer, Long> pages() throws IOException {
    Map<Integer, Long> pages = new TreeMap<>();
    for (Map.Entry<Integer, ExtentFile> file : files.entrySet()) {
      pages.put(file.getKey(), file.getValue().bytes() / Pages.BYTES);
    }
    return pages;
  }

  /**
   * Makes a file longer, creating it when it is new. The directory entry is durable when this returns; the length
   * becomes so with the next {@link #sync} of the file, before which no index record may point there.
   *
   * @throws SyncFailedException when nothing is known of the directory entry any more
   */
  void grow(int number, long pages) throws IOException {
    ExtentFile file = files.get(number);
    if (file == null) {
      Path path = directory.resolve(String.format("extents-%05d", number));
      if (!Files.exists(path)) { // it may be there since an attempt that could not open it
        OwnerOnly.createFile(path);
      }
      file = new ExtentFile(path, options);
      files.put(number, file);
      try {
        syncDirectory(directory);
      } catch (IOException e) {
        throw syncFailed(e);
      }
    }
    try (Arena arena = Arena.ofConfined()) {
      // The last page is enough to set the length; space for the others is found when they are written.
      file.write((pages - 1) * Pages.BYTES, arena.allocate(Pages.BYTES, Pages.BYTES));
    }
  }

  /** Makes a file shorter; space beyond is the filesystem's again. */
  void truncate(int number, long pages) throws IOException {
    files.get(number).truncate(pages * Pages.BYTES);
  }

  /** Writes whole pages into consecutive extents. */
  void write(List<Extent> extents, MemorySegment source) throws IOException {
    long done = 0;
    for (Extent extent : extents) {
      files.get(extent.file()).write(extent.position(), source.asSlice(done, extent.bytes()));
      done += extent.bytes();
    }
  }

  /** Reads consecutive extents into the first bytes of {@code target}, which has room for all of them. */
  void read(List<Extent> extents, MemorySegment target) throws IOException {
    long done = 0;
    for (Extent extent : extents) {
      files.get(extent.file()).read(extent.position(), target.asSlice(done, extent.bytes()));
      done += extent.bytes();
    }
  }

  /**
   * Makes what was written to these files durable.
   *
   * @throws SyncFailedException when nothing is known any more of what was written
   */
  void sync(Set<Integer> numbers) throws SyncFailedException {
    for (int number : numbers) {
      try {
        files.get(number).sync();
      } catch (IOException e) {
        throw syncFailed(e);
      }
    }
  }

  private static SyncFailedException syncFailed(IOException cause) {
    SyncFailedException failed = new SyncFailedException(cause.getMessage());
    failed.initCause(cause);
    return failed;
  }

  @Override
  public void close() throws IOException {
    for (ExtentFile file : files.values()) {
      file.close();
    }
  }

  /** Makes names created in a directory durable, interrupted or not. */
  static void syncDirectory(Path directory) throws IOException {
    boolean interrupted = Thread.interrupted();
    boolean synced = false;
    try {
      while (!synced) {
        try (FileChannel channel = FileChannel.open(directory, StandardOpenOption.READ)) {
          channel.force(true);
          synced = true;
        } catch (ClosedByInterruptException e) {
          interrupted |= Thread.interrupted();
        }
      }
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }
}
