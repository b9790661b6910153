package io.kvcache.tiers;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;

/** A small filesystem of its own that can be filled to the last byte, or the last file. */
final class FullDisk implements AutoCloseable {
  private static final int MOST_FILES = 1000;

  private final Path mounted;
  private final Path filler;
  private int files;

  /** In memory, in a directory that is created; skips the test, saying so, where nothing can be mounted. */
  static FullDisk mount(Path directory, long bytes) throws IOException {
    Files.createDirectory(directory);
    int exit = run("mount", "-t", "tmpfs", "-o", "nr_inodes=" + MOST_FILES + ",size=" + bytes, "kvcache-test",
        directory.toString());
    assumeTrue(exit == 0, "skipped: needs root to mount a filesystem that can be filled");
    return new FullDisk(directory);
  }

  private FullDisk(Path mounted) {
    this.mounted = mounted;
    filler = mounted.resolve("filler");
  }

  /** A directory on it. */
  Path directory() {
    return mounted.resolve("tier");
  }

  /** Takes all the space there is. */
  void fill() throws IOException {
    byte[] some = new byte[4096];
    try (OutputStream out = Files.newOutputStream(filler)) {
      while (true) {
        out.write(some);
      }
    } catch (IOException full) {
      assertEquals(0, Files.getFileStore(mounted).getUsableSpace(), full.getMessage());
    }
  }

  /** Takes all the files there can be, and no space. */
  void fillWithFiles() throws IOException {
    try {
      while (true) {
        Files.createFile(mounted.resolve("file-" + files));
        files++;
      }
    } catch (IOException full) {
      assertTrue(files > 0 && Files.getFileStore(mounted).getUsableSpace() > 0, full.getMessage());
    }
  }

  /** Gives everything back. */
  void drain() throws IOException {
    Files.deleteIfExists(filler);
    while (files > 0) {
      Files.delete(mounted.resolve("file-" + --files));
    }
  }

  @Override
  public void close() throws IOException {
    assertEquals(0, run("umount", mounted.toString()), "still in use");
    Files.delete(mounted);
  }

  private static int run(String... command) throws IOException {
    return new ProcessBuilder(command).redirectErrorStream(true)
        .redirectOutput(ProcessBuilder.Redirect.DISCARD).start()
        .onExit().join().exitValue();
  }
}
