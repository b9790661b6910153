package io.kvcache.bench.limits;

import io.kvcache.bench.ByteSizeConverter;
import io.kvcache.bench.Console;
import io.kvcache.bench.Machine;
import java.io.File;
import java.io.IOException;
import java.nio.file.FileStore;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Measures this machine's physical limits, and how much of them the library reaches. */
@Command(
    name = "limits",
    description = "Measures what this machine can do at best (memory, checksum, disk, loopback) and every path of"
        + " the library as a fraction of it. Takes about two minutes; other load on the machine shows.",
    mixinStandardHelpOptions = true)
public final class LimitsCommand implements Callable<Integer> {
  private static final long MIN_MEMORY_BYTES = 1L << 20;
  private static final long HONEST_MEMORY_BYTES = 512L << 20;
  private static final long DEFAULT_FILE_BYTES = 1L << 30;
  private static final int MAX_ROUNDS = 100;
  private static final Set<String> MEMORY_FILE_SYSTEMS = Set.of("tmpfs", "ramfs", "devtmpfs");

  @Spec
  private CommandSpec spec;

  @Option(
      names = "--dir",
      paramLabel = "DIR",
      description = "Where to put a temporary file, on the disk to be measured. Default: the first of the temporary,"
          + " current and home directories that is on a disk.")
  private Path directory;

  @Option(
      names = "--bytes",
      paramLabel = "SIZE",
      converter = ByteSizeConverter.class,
      description = "Size of that file, such as 4GiB. Default: 1GiB, or a quarter of the free space if that is less.")
  private Long fileBytes;

  @Option(
      names = "--memory",
      paramLabel = "SIZE",
      defaultValue = "512MiB",
      converter = ByteSizeConverter.class,
      description = "Source and target of copies, each. Default: ${DEFAULT-VALUE}; less flatters, as caches help.")
  private long memoryBytes;

  @Option(
      names = "--rounds",
      paramLabel = "N",
      defaultValue = "5",
      description = "Ends after so many rounds in which no figure got better. Default: ${DEFAULT-VALUE}.")
  private int rounds;

  @Option(names = "--json", paramLabel = "FILE", description = "Also write the figures as JSON.")
  private File json;

  /** Creates it, as picocli does. */
  public LimitsCommand() {}

  @Override
  public Integer call() throws IOException {
    console().requireBetween("--rounds", rounds, 1, MAX_ROUNDS);
    requireSaneMemory();
    requireWritableJson();
    if (directory == null) {
      directory = defaultDirectory();
    }
    requireSaneFile();

    LimitsReport report = new LimitsReport();
    Meter meter = new Meter(rounds);
    for (Groups.Entry entry : Groups.all(memoryBytes, directory, fileBytes)) {
      console().say("limits: %s, preparing%n", entry.name());
      try (ProbeGroup group = entry.opener().open()) {
        meter.best(group.probes(), round -> console().say("limits: %s%s%n", entry.name(),
            round == 0 ? ", warming up" : ", round " + round)).forEach(report::add);
      }
    }
    report.print(spec.commandLine().getOut());
    if (json != null) {
      report.writeJson(json);
    }
    return 0;
  }

  /** Source and target are held twice, for the machine and for the tier, and once more in the tier. */
  private void requireSaneMemory() {
    console().requireBetween("--memory", memoryBytes, MIN_MEMORY_BYTES, Machine.memoryBytes() / 8);
    if (memoryBytes < HONEST_MEMORY_BYTES) {
      console().say("limits: with --memory below %s caches flatter what is measured%n",
          Units.bytes(HONEST_MEMORY_BYTES));
    }
  }

  /** Now rather than after minutes of measuring. */
  private void requireWritableJson() {
    if (json == null) {
      return;
    }
    File parent = json.getAbsoluteFile().getParentFile();
    if (json.isDirectory() || !parent.isDirectory() || !(json.exists() ? json : parent).canWrite()) {
      throw console().wrong("--json " + json + " cannot be written");
    }
  }

  private Path defaultDirectory() throws IOException {
    for (String property : new String[] {"java.io.tmpdir", "user.dir", "user.home"}) {
      Path candidate = Path.of(System.getProperty(property));
      if (Files.isWritable(candidate) && !inMemory(candidate)) {
        return candidate;
      }
    }
    throw console().wrong(
        "neither the temporary, the current nor the home directory is writable and on a disk; name one with"
            + " --dir");
  }

  private void requireSaneFile() throws IOException {
    if (!Files.isDirectory(directory) || !Files.isWritable(directory)) {
      throw console().wrong("--dir " + directory + " is not a writable directory");
    }
    FileStore store = Files.getFileStore(directory);
    if (inMemory(directory)) {
      throw console()
          .wrong("--dir " + directory + " is on " + store.type() + ", which is memory and not a disk");
    }
    long free = store.getUsableSpace();
    if (fileBytes == null) {
      fileBytes = Math.min(DEFAULT_FILE_BYTES, free / 4);
    }
    console().requireBetween("--bytes", fileBytes, DiskProbes.MIN_FILE_BYTES, free / 2);
  }

  private static boolean inMemory(Path path) throws IOException {
    return MEMORY_FILE_SYSTEMS.contains(Files.getFileStore(path).type());
  }

  private Console console() {
    return new Console(spec);
  }
}
