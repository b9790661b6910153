package io.kvcache.bench.limits;

import io.kvcache.tiers.DramTier;
import io.kvcache.tiers.SsdTier;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/** Everything that is measured: the machine's limits, and beside each the paths of the library it bounds. */
final class Groups {
  private Groups() {}

  /**
   * What takes turns in being measured.
   *
   * @param name for the user
   * @param opener opens it, once the one before is closed
   */
  record Entry(String name, ProbeGroup.Opener opener) {}

  /**
   * All groups, in order.
   *
   * @param memoryBytes what is copied, checked and stored per pass
   * @param directory where files are put
   * @param fileBytes size of the file that is read and written
   */
  static List<Entry> all(long memoryBytes, Path directory, long fileBytes) {
    return List.of(
        new Entry("memory", () -> new MemoryProbes(memoryBytes).and(() -> dram(memoryBytes))),
        new Entry("loopback", () -> new LoopbackProbes(memoryBytes)),
        new Entry("disk", () -> new DiskProbes(directory, fileBytes)
            .and(() -> ssd(directory, Math.min(memoryBytes, fileBytes)))));
  }

  private static ProbeGroup dram(long bytes) {
    return new CacheProbes(DramTier.open(TierProbes.capacityFor(bytes)), bytes);
  }

  private static ProbeGroup ssd(Path directory, long bytes) throws IOException {
    ScratchDirectory tier = new ScratchDirectory(directory);
    ScratchDirectory cache = new ScratchDirectory(directory);
    return tier.and(() -> new TierProbes(open(tier, bytes), bytes))
        .and(() -> cache.and(() -> new CacheProbes(open(cache, bytes), bytes)));
  }

  private static SsdTier open(ScratchDirectory directory, long bytes) throws IOException {
    return SsdTier.builder(directory.path(), TierProbes.capacityFor(bytes)).open();
  }
}
