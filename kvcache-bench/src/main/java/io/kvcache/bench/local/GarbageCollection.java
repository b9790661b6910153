package io.kvcache.bench.local;

import java.io.IOException;
import java.lang.management.GarbageCollectorMXBean;
import java.lang.management.ManagementFactory;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;

/**
 * What collecting garbage has cost this process so far.
 *
 * @param pauseSeconds time that the collectors' beans report, which for concurrent ones is that of their pauses
 * @param processorSeconds of the collectors' threads; NaN where the system does not tell
 * @param atNanos when it was looked
 */
record GarbageCollection(double pauseSeconds, double processorSeconds, long atNanos) {
  private static final Path TASKS = Path.of("/proc/self/task");
  /** G1 and the parallel collector; then ZGC. Names are cut to 15 characters. */
  private static final String COLLECTOR = "GC Thread.*|G1 .*|Z[A-Z].*";
  private static final int TICKS_PER_SECOND = 100;
  /** Of the fields behind the name. */
  private static final int USER_TICKS = 11;

  private static final int SYSTEM_TICKS = 12;

  /** Its costs until now. */
  static GarbageCollection now() throws IOException {
    double pauses = 0;
    for (GarbageCollectorMXBean each : ManagementFactory.getGarbageCollectorMXBeans()) {
      // The beans of cycles count time in which the program ran as well.
      pauses += each.getName().contains("Cycles") || each.getName().contains("Concurrent")
          ? 0 : Math.max(0, each.getCollectionTime()) / 1e3;
    }
    return new GarbageCollection(pauses, collectorSeconds(), System.nanoTime());
  }

  /** Share of the time since {@code before} that the program stood still. */
  double pauseShareSince(GarbageCollection before) {
    return (pauseSeconds - before.pauseSeconds) / ((atNanos - before.atNanos) / 1e9);
  }

  /** Share of all processors' time since {@code before} that collectors took. */
  double processorShareSince(GarbageCollection before) {
    return (processorSeconds - before.processorSeconds) / ((atNanos - before.atNanos) / 1e9)
        / Runtime.getRuntime().availableProcessors();
  }

  /** The collectors of this process. */
  static String names() {
    return ManagementFactory.getGarbageCollectorMXBeans().stream().map(GarbageCollectorMXBean::getName)
        .collect(Collectors.joining(", "));
  }

  private static double collectorSeconds() throws IOException {
    if (!Files.isDirectory(TASKS)) {
      return Double.NaN;
    }
    long ticks = 0;
    try (DirectoryStream<Path> tasks = Files.newDirectoryStream(TASKS)) {
      for (Path task : tasks) {
        ticks += ticks(task);
      }
    }
    return (double) ticks / TICKS_PER_SECOND;
  }

  private static long ticks(Path task) throws IOException {
    try {
      if (!Files.readString(task.resolve("comm")).strip().matches(COLLECTOR)) {
        return 0;
      }
      String stat = Files.readString(task.resolve("stat"));
      List<String> fields = List.of(stat.substring(stat.lastIndexOf(')') + 2).split(" "));
      return Long.parseLong(fields.get(USER_TICKS)) + Long.parseLong(fields.get(SYSTEM_TICKS));
    } catch (NoSuchFileException ended) {
      return 0;
    }
  }
}
