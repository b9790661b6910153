package io.kvcache.bench.limits;

import io.kvcache.bench.ByteSizeConverter;
import io.kvcache.bench.Console;
import io.kvcache.bench.TemporaryDirectory;
import io.kvcache.bench.limits.Fio.Operation;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Holds the SSD tier against the disk, as fio sees it, and against RocksDB with the same values. */
@Command(
    name = "ssd",
    description = "Compares the SSD tier with fio's direct I/O on the same disk, and with a plain RocksDB that has the"
        + " values in blob files: reads, writes with eviction, and how soon the first layer of a long context is there."
        + " Needs fio. Takes some ten minutes.",
    mixinStandardHelpOptions = true)
public final class SsdCommand implements Callable<Integer> {
  private static final long MIB = 1 << 20;
  private static final long LEAST_BYTES = 512 * MIB;
  private static final int MOST_ROUNDS = 100;
  private static final int[] READ_MIB = {1, 2, 4, 8};
  private static final int[] DEPTHS = {1, 2};
  private static final int[] WRITE_DEPTHS = {1, 2, 4};
  private static final int WRITE_PARTS = 32;

  @Spec
  private CommandSpec spec;

  @Option(names = "--dir", paramLabel = "DIR",
      description = "Where to work, on the disk to be measured. Default: the system's temporary directory.")
  private Path directory;

  @Option(names = "--bytes", paramLabel = "SIZE", defaultValue = "4GiB", converter = ByteSizeConverter.class,
      description = "Capacity of the tier, length of the context, size of fio's file. Default: ${DEFAULT-VALUE}.")
  private long bytes;

  @Option(names = "--rounds", paramLabel = "N", defaultValue = "3",
      description = "How often everything is measured. Default: ${DEFAULT-VALUE}.")
  private int rounds;

  @Option(names = "--json", paramLabel = "FILE", description = "Also write the figures as JSON.")
  private File json;

  private final SsdReport report = new SsdReport();
  private Console console;

  /** Creates it, as picocli does. */
  public SsdCommand() {}

  /** One thing to be measured, in bytes. */
  private interface Pass {
    long run() throws IOException;
  }

  @Override
  public Integer call() throws IOException {
    console = new Console(spec);
    console.requireBetween("--rounds", rounds, 1, MOST_ROUNDS);
    console.requireBetween("--bytes", bytes, LEAST_BYTES, Long.MAX_VALUE / 8);
    if (directory != null && !(Files.isDirectory(directory) && Files.isWritable(directory))) {
      throw console.wrong("--dir " + directory + " is not a writable directory");
    }
    try (TemporaryDirectory work = new TemporaryDirectory(directory, "kvcache-ssd-")) {
      Files.createDirectory(work.path().resolve("fio"));
      Fio fio = new Fio(work.path().resolve("fio"), bytes);
      for (int mebibytes : READ_MIB) {
        within(work, where -> reads(where, fio, mebibytes));
      }
      within(work, where -> writes(where, fio));
      within(work, where -> firstGroup(where, fio));
      for (int round = 0; round < rounds; round++) {
        within(work, this::blobs);
      }
    }
    report.print(spec.commandLine().getOut());
    if (json != null) {
      report.writeJson(json);
    }
    return 0;
  }

  /** Something that needs a directory for a while. */
  private interface Visit {
    void in(Path directory) throws IOException;
  }

  private static void within(TemporaryDirectory work, Visit visit) throws IOException {
    try (TemporaryDirectory where = new TemporaryDirectory(work.path(), "part-")) {
      visit.in(where.path());
    }
  }

  private static double gigabytesPerSecond(Pass pass) throws IOException {
    long start = System.nanoTime();
    long moved = pass.run();
    return (double) moved / (System.nanoTime() - start);
  }

  private void reads(Path where, Fio fio, int mebibytes) throws IOException {
    console.say("ssd: reads of %d MiB%n", mebibytes);
    long claimed = 0;
    long read = 0;
    try (SsdEntries entries = new SsdEntries(where, bytes, 8 / mebibytes, mebibytes * MIB)) {
      entries.store(bytes * 9 / 10, 2);
      entries.read(1);
      for (int round = 0; round < rounds; round++) {
        for (int depth : DEPTHS) {
          DeviceBytes before = DeviceBytes.now();
          long[] moved = new long[1];
          double ours = gigabytesPerSecond(() -> moved[0] = entries.read(depth));
          claimed += moved[0];
          read += DeviceBytes.now().since(before).read();
          report.add("read " + mebibytes + " MiB, " + depth + " in flight", ours, "fio, same size and depth",
              fio.gigabytesPerSecond(Operation.READ, mebibytes * MIB, depth));
        }
      }
    }
    report.share("bytes read from the device, of those claimed, " + mebibytes + " MiB",
        (double) read / claimed);
  }

  private void writes(Path where, Fio fio) throws IOException {
    console.say("ssd: writes over three times the capacity%n");
    try (SsdEntries entries = new SsdEntries(where, bytes, WRITE_PARTS, MIB)) {
      entries.store(bytes, 2);
      for (int depth : WRITE_DEPTHS) {
        long stored = 0;
        long written = 0;
        // Turns of a quarter of the capacity, that a disk which is slower for a while is so for both.
        for (int turn = 0; turn < 12; turn++) {
          DeviceBytes before = DeviceBytes.now();
          long[] moved = new long[1];
          double ours = gigabytesPerSecond(() -> moved[0] = entries.store(bytes / 4, depth));
          stored += moved[0];
          written += DeviceBytes.now().since(before).written();
          report.add("store with eviction, " + depth + " at a time", ours, "fio writes of 1 MiB, same depth",
              fio.gigabytesPerSecond(Operation.WRITE, MIB, depth));
        }
        report.share("bytes written to the device, of those stored, " + depth + " at a time",
            (double) written / stored);
      }
    }
  }

  private void firstGroup(Path where, Fio fio) throws IOException {
    console.say("ssd: a context of %s%n", Units.bytes(bytes));
    try (FirstGroup context = new FirstGroup(where, bytes)) {
      context.secondsToAll();
      for (int round = 0; round < rounds; round++) {
        double first = context.secondsTo(1);
        double limit = fio.gigabytesPerSecond(Operation.READ, MIB, 4);
        report.add("first layer of the context", context.layerBytes() / first / 1e9,
            "fio, 1 MiB, 4 in flight", limit);
        report.add("all layers of the context", context.bytes() / context.secondsToAll() / 1e9,
            "fio, 1 MiB, 4 in flight", limit);
      }
    }
  }

  private void blobs(Path where) throws IOException {
    console.say("ssd: the same values in RocksDB's blob files%n");
    Path others = Files.createDirectory(where.resolve("blobs"));
    long share = bytes / 2;
    try (SsdEntries entries = new SsdEntries(where.resolve("tier"), bytes, 1, MIB)) {
      double stored = gigabytesPerSecond(() -> entries.store(share, 1));
      double read = gigabytesPerSecond(() -> entries.read(1));
      long count;
      try (BlobValues values = new BlobValues(others, (int) MIB, false, 0)) {
        report.add("store values of 1 MiB", stored, "RocksDB, blob files, defaults",
            gigabytesPerSecond(() -> values.store(share)));
        count = values.stored();
      }
      try (BlobValues values = new BlobValues(others, (int) MIB, true, count)) {
        report.add("read values of 1 MiB", read, "RocksDB, blob files, direct reads",
            gigabytesPerSecond(values::read));
      }
    }
  }
}
