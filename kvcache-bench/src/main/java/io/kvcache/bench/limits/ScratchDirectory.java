package io.kvcache.bench.limits;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/** A new directory that is gone, with all that is in it, when it is closed or the process is interrupted. */
final class ScratchDirectory implements ProbeGroup {
  private final Path path;
  private final Thread onExit = new Thread(this::deleteQuietly);

  ScratchDirectory(Path parent) throws IOException {
    path = Files.createTempDirectory(parent, "kvcache-limits-");
    Runtime.getRuntime().addShutdownHook(onExit);
  }

  Path path() {
    return path;
  }

  /** None of its own: probes that use it come {@link #and after} it, and are closed before. */
  @Override
  public List<Probe> probes() {
    return List.of();
  }

  @Override
  public void close() throws IOException {
    Runtime.getRuntime().removeShutdownHook(onExit);
    delete();
  }

  private void delete() throws IOException {
    List<Path> deepestFirst;
    try (Stream<Path> all = Files.walk(path)) {
      deepestFirst = all.sorted(Comparator.reverseOrder()).toList();
    }
    for (Path each : deepestFirst) {
      Files.deleteIfExists(each);
    }
  }

  private void deleteQuietly() {
    try {
      delete();
    } catch (IOException | UncheckedIOException e) {
      System.err.println("limits: cannot delete " + path + ": " + e);
    }
  }
}
