package io.kvcache.bench.limits;

import io.kvcache.bench.TemporaryDirectory;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/** A temporary directory for probes: those that use it come {@link #and after} it, and are closed before. */
final class ScratchDirectory implements ProbeGroup {
  private final TemporaryDirectory directory;

  ScratchDirectory(Path parent) throws IOException {
    directory = new TemporaryDirectory(parent, "kvcache-limits-");
  }

  Path path() {
    return directory.path();
  }

  /** None of its own. */
  @Override
  public List<Probe> probes() {
    return List.of();
  }

  @Override
  public void close() throws IOException {
    directory.close();
  }
}
