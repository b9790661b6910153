package io.kvcache.tiers;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Optional;
import java.util.Set;

/** Finds out what can be done with files of a directory, on a file that nobody misses. */
final class DirectIo {
  private static final String FILE = "probe.tmp";

  private DirectIo() {}

  /** Fails where a file cannot be written and synced. */
  static void requireSyncs(Path directory) throws IOException {
    try (FileChannel channel = FileChannel.open(directory.resolve(FILE), StandardOpenOption.CREATE,
        StandardOpenOption.WRITE, StandardOpenOption.DELETE_ON_CLOSE)) {
      channel.write(ByteBuffer.allocate(Pages.BYTES), 0);
      channel.force(false);
    }
  }

  /** The option to open files with to go past the page cache; empty when JDK, system or filesystem refuse. */
  static Optional<OpenOption> probe(Path directory) throws IOException {
    Optional<OpenOption> direct = option();
    if (direct.isEmpty() || Files.getFileStore(directory).getBlockSize() > Pages.BYTES) {
      return Optional.empty();
    }
    Path file = directory.resolve(FILE);
    Set<OpenOption> options = Set.of(direct.get(), StandardOpenOption.CREATE, StandardOpenOption.READ,
        StandardOpenOption.WRITE, StandardOpenOption.DELETE_ON_CLOSE);
    try (FileChannel channel = FileChannel.open(file, options); Arena arena = Arena.ofConfined()) {
      MemorySegment page = arena.allocate(Pages.BYTES, Pages.BYTES);
      boolean works = channel.write(page.asByteBuffer(), 0) == Pages.BYTES
          && channel.read(page.asByteBuffer(), 0) == Pages.BYTES;
      return works ? direct : Optional.empty();
    } catch (IOException | UnsupportedOperationException e) {
      Files.deleteIfExists(file);
      return Optional.empty();
    }
  }

  /** By name, because naming the class gives a warning that nothing suppresses. */
  private static Optional<OpenOption> option() {
    try {
      for (Object constant : Class.forName("com.sun.nio.file.ExtendedOpenOption").getEnumConstants()) {
        if (constant.toString().equals("DIRECT")) {
          return Optional.of((OpenOption) constant);
        }
      }
      return Optional.empty();
    } catch (ClassNotFoundException e) {
      return Optional.empty();
    }
  }
}
