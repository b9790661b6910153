package io.kvcache.bench.limits;

import java.nio.file.Path;
import java.util.List;

/** Everything that is measured: first the machine's limits, then the paths of the library. */
final class Groups {
  private Groups() {}

  /**
   * What to measure, in order; each group is opened when the one before is closed.
   *
   * @param memoryBytes what is copied and checked per pass
   * @param directory where files are put
   * @param fileBytes size of the file that is read and written
   */
  static List<ProbeGroup.Opener> all(long memoryBytes, Path directory, long fileBytes) {
    return List.of(
        () -> new MemoryProbes(memoryBytes),
        () -> new LoopbackProbes(memoryBytes),
        () -> new DiskProbes(directory, fileBytes));
  }
}
