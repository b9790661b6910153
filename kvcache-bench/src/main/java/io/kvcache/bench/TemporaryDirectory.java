package io.kvcache.bench;

import java.io.IOException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;

/** A directory that is gone, with everything in it, when it is closed or the process is interrupted. */
public final class TemporaryDirectory implements AutoCloseable {
  /** An interrupted process goes on creating files while they are deleted. */
  private static final int ATTEMPTS = 100;

  private final Path path;
  private final Thread onExit = new Thread(this::deleteQuietly);

  /** A fresh one in {@code parent}, or where the system has them when that is null. */
  public TemporaryDirectory(Path parent, String prefix) throws IOException {
    path = parent == null ? Files.createTempDirectory(prefix) : Files.createTempDirectory(parent, prefix);
    try {
      Runtime.getRuntime().addShutdownHook(onExit);
    } catch (IllegalStateException exiting) {
      delete();
      throw exiting;
    }
  }

  /** Where it is. */
  public Path path() {
    return path;
  }

  @Override
  public void close() throws IOException {
    try {
      Runtime.getRuntime().removeShutdownHook(onExit);
    } catch (IllegalStateException exiting) {
      return; // it is being deleted
    }
    delete();
  }

  private void delete() throws IOException {
    Files.walkFileTree(path, new SimpleFileVisitor<>() {
      @Override
      public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
        Files.deleteIfExists(file);
        return FileVisitResult.CONTINUE;
      }

      @Override
      public FileVisitResult visitFileFailed(Path file, IOException problem) throws IOException {
        if (problem instanceof NoSuchFileException) {
          return FileVisitResult.CONTINUE; // its user was quicker
        }
        throw problem;
      }

      @Override
      public FileVisitResult postVisitDirectory(Path visited, IOException problem) throws IOException {
        Files.deleteIfExists(visited);
        return FileVisitResult.CONTINUE;
      }
    });
  }

  private void deleteQuietly() {
    for (int attempt = 1; Files.exists(path); attempt++) {
      try {
        delete();
      } catch (IOException e) {
        if (attempt == ATTEMPTS || !(e instanceof DirectoryNotEmptyException)) {
          System.err.println("cannot delete " + path + ": " + e);
          return;
        }
      }
    }
  }
}
