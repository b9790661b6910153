package io.kvcache.bench;

import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;

/** A directory that is deleted, with everything in it, when this is closed. */
public final class TemporaryDirectory implements AutoCloseable {
  private final Path path;

  /** A fresh one in {@code parent}, or where the system has them when that is null. */
  public TemporaryDirectory(Path parent, String prefix) throws IOException {
    path = parent == null ? Files.createTempDirectory(prefix) : Files.createTempDirectory(parent, prefix);
  }

  /** Where it is. */
  public Path path() {
    return path;
  }

  @Override
  public void close() throws IOException {
    Files.walkFileTree(path, new SimpleFileVisitor<>() {
      @Override
      public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
        Files.delete(file);
        return FileVisitResult.CONTINUE;
      }

      @Override
      public FileVisitResult postVisitDirectory(Path visited, IOException problem) throws IOException {
        Files.delete(visited);
        return FileVisitResult.CONTINUE;
      }
    });
  }
}
