package io.kvcache.tiers;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedDeque;

/**
 * An ext4 filesystem on a loop device over an image file, which has what was written to the device and nothing of
 * what waits in the page cache: a copy of the image is what a power cut leaves. A device's own volatile cache is not
 * staged. Needs root.
 */
final class LoopDisk implements AutoCloseable {
  private static final long BYTES = 64 << 20;
  private static final int MOST_TRIES = 50;

  /** Still mounted, to be unmounted even where a test run is broken off. */
  private static final Deque<Path> MOUNTED = new ConcurrentLinkedDeque<>();

  static {
    Runtime.getRuntime()
        .addShutdownHook(new Thread(() -> new ArrayDeque<>(MOUNTED).forEach(LoopDisk::letGo)));
  }

  private final Path image;
  private final Path mountPoint;
  private final Path statistics;

  /** Mounts an image, as after a restart: the filesystem replays its journal. */
  LoopDisk(Path image, Path mountPoint) throws IOException {
    this.image = image;
    this.mountPoint = mountPoint;
    Files.createDirectories(mountPoint);
    MOUNTED.push(mountPoint);
    // What closing a file would write by itself, a power cut would not.
    Tools.run("mount", "-t", "ext4", "-o", "loop,noauto_da_alloc", image.toString(), mountPoint.toString());
    Path device = Path.of(Tools.run("findmnt", "-n", "-o", "SOURCE", mountPoint.toString()).strip());
    statistics = Path.of("/sys/block").resolve(device.getFileName()).resolve("stat");
  }

  /** Whether there can be such disks here; tried out in {@code scratch}. */
  static boolean works(Path scratch) {
    Path image = scratch.resolve("tried");
    try {
      format(image);
      new LoopDisk(image, scratch.resolve("mounted")).close();
      Files.delete(image);
      return true;
    } catch (IOException | AssertionError notHere) {
      return false;
    }
  }

  /** Makes an image with an empty filesystem. */
  static void format(Path image) throws IOException {
    try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
      file.setLength(BYTES);
    }
    // Nothing is left to be initialised later: the device is to be still when nobody uses it.
    Tools.run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard",
        image.toString());
  }

  Path directory() {
    return mountPoint;
  }

  /** Copies what the device has, at one moment: tried again until nothing was written meanwhile. */
  void cut(Path copy) throws IOException {
    for (int attempt = 0; attempt < MOST_TRIES; attempt++) {
      List<String> before = written();
      Tools.run("cp", "--sparse=always", image.toString(), copy.toString());
      if (before.equals(written()) && before.getLast().equals("0")) {
        return;
      }
    }
    throw new IOException("the device of " + mountPoint + " is never still");
  }

  /** Writes done, sectors written, and requests under way. */
  private List<String> written() throws IOException {
    String[] fields = Files.readString(statistics).strip().split(" +");
    return List.of(fields[4], fields[6], fields[8]);
  }

  @Override
  public void close() throws IOException {
    try {
      Tools.run("umount", mountPoint.toString());
    } catch (IOException | AssertionError e) {
      letGo(mountPoint);
      throw e;
    } finally {
      MOUNTED.remove(mountPoint);
    }
  }

  /** Unmounts it once nobody uses it any more; the loop device goes with it. */
  private static void letGo(Path mountPoint) {
    try {
      new ProcessBuilder("umount", "-l", mountPoint.toString()).start().waitFor();
    } catch (IOException | InterruptedException nothingMoreToDo) {
      MOUNTED.remove(mountPoint);
    }
  }
}
