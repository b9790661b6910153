package io.kvcache.tiers;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/**
 * The right to use a directory, held until closed or until the process ends.
 *
 * <p>The system's lock only keeps other processes out, and is lost when this process closes any other channel on
 * the file; a set of directories keeps this process from opening a second one.
 */
final class DirectoryLock implements AutoCloseable {
  static final String FILE = "lock";

  private static final Set<Path> HELD = ConcurrentHashMap.newKeySet();

  private final Path directory;
  private final FileChannel channel;

  private DirectoryLock(Path directory, FileChannel channel) {
    this.directory = directory;
    this.channel = channel;
  }

  /** Locks an existing directory. */
  static DirectoryLock acquire(Path directory) throws IOException {
    Path real = directory.toRealPath();
    if (!HELD.add(real)) {
      throw new IOException(directory + " is in use by another tier of this process");
    }
    FileChannel channel = null;
    try {
      Path file = real.resolve(FILE);
      if (!Files.exists(file)) {
        OwnerOnly.createFile(file);
      }
      channel = FileChannel.open(file, StandardOpenOption.WRITE);
      if (channel.tryLock() == null) {
        throw new IOException(directory + " is in use by another process");
      }
      return new DirectoryLock(real, channel);
    } catch (IOException | RuntimeException e) {
      if (channel != null) {
        channel.close();
      }
      HELD.remove(real);
      throw e;
    }
  }

  @Override
  public void close() throws IOException {
    try {
      channel.close();
    } finally {
      HELD.remove(directory);
    }
  }
}
