package io.kvcache.tiers;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/** What tests do to whole directories. */
final class Directories {
  private Directories() {}

  /** Files below a directory, in order of their names. */
  static List<Path> files(Path directory) throws IOException {
    try (Stream<Path> all = Files.walk(directory)) {
      return all.filter(Files::isRegularFile).sorted().toList();
    }
  }

  /** Copies a tree; files that vanish meanwhile are left out. */
  static void copy(Path from, Path to) throws IOException {
    Files.createDirectories(to);
    for (Path file : files(from)) {
      Path target = to.resolve(from.relativize(file).toString());
      Files.createDirectories(target.getParent());
      try {
        Files.copy(file, target, StandardCopyOption.REPLACE_EXISTING);
      } catch (NoSuchFileException e) {
        Files.deleteIfExists(target);
      }
    }
  }

  /** Replaces a tree by a copy of another. */
  static void replace(Path directory, Path by) throws IOException {
    delete(directory);
    copy(by, directory);
  }

  static void delete(Path directory) throws IOException {
    if (Files.exists(directory)) {
      try (Stream<Path> all = Files.walk(directory)) {
        for (Path path : all.sorted(Comparator.reverseOrder()).toList()) {
          Files.delete(path);
        }
      }
    }
  }

  /** Bytes of all files, which RocksDB may be deleting. */
  static long bytes(Path directory) throws IOException {
    long bytes = 0;
    for (Path file : files(directory)) {
      bytes += Files.exists(file) ? Files.size(file) : 0;
    }
    return bytes;
  }
}
