package io.kvcache.bench.demo;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.kvcache.bench.ByteSizeConverter;
import io.kvcache.bench.Console;
import io.kvcache.bench.Machine;
import io.kvcache.bench.TemporaryDirectory;
import io.kvcache.bench.placement.Policy;
import io.kvcache.bench.placement.Throttle;
import io.kvcache.bench.serving.CachedModel;
import io.kvcache.bench.serving.Weights;
import io.kvcache.bench.serving.WorkingSet;
import io.kvcache.tiers.DramTier;
import io.kvcache.tiers.SsdTier;
import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** A real model answers questions about documents: cold, with its KV kept, after a restart, and by several policies. */
@Command(
    name = "demo",
    description = "A small, real transformer answers questions about generated documents: first computing everything,"
        + " then loading KV from memory and disk, then once more in a new process, from disk alone. After that"
        + " several policies are compared where there is room for a fraction.",
    mixinStandardHelpOptions = true)
public final class DemoCommand implements Callable<Integer> {
  private static final int MOST_DOCUMENTS = 10_000;
  private static final int MOST_QUESTIONS = 100;
  private static final int MOST_REQUESTS = 100_000;

  @Spec
  private CommandSpec spec;

  @Option(names = "--documents", paramLabel = "N", defaultValue = "30",
      description = "Documents to read, of all kinds in turn. Default: ${DEFAULT-VALUE}.")
  private int documents;

  @Option(names = "--questions", paramLabel = "N", defaultValue = "2",
      description = "Questions about each document. Default: ${DEFAULT-VALUE}.")
  private int questions;

  @Option(names = "--seed", paramLabel = "N", defaultValue = "1",
      description = "Which documents are generated. Default: ${DEFAULT-VALUE}.")
  private long seed;

  @Option(names = "--dram", paramLabel = "SIZE", converter = ByteSizeConverter.class,
      description = "Capacity of the memory tier, such as 16MiB. Default: a third of the documents' KV, so that the"
          + " rest must go to disk.")
  private Long dramBytes;

  @Option(names = "--ssd", paramLabel = "SIZE", converter = ByteSizeConverter.class,
      description = "Capacity of the disk tier. Default: room for everything.")
  private Long ssdBytes;

  @Option(names = "--codec", paramLabel = "CODEC", defaultValue = "lz4",
      description = "Encoding on disk: ${COMPLETION-CANDIDATES}. Default: ${DEFAULT-VALUE}, which is lossless.")
  private DiskCodec codec;

  @Option(names = "--dir", paramLabel = "DIR",
      description = "Where the disk tier lies, which is kept, and in it those of the policies compared, which are not."
          + " Default: a temporary directory, deleted.")
  private Path directory;

  @Option(names = "--requests", paramLabel = "N", defaultValue = "40",
      description = "Requests of each policy that is compared, after as many to warm up; 0 compares none. Default:"
          + " ${DEFAULT-VALUE}.")
  private int requests;

  @Option(names = "--alpha", paramLabel = "SECONDS", defaultValue = "5",
      description = "Seconds of delay that the whole quality of an answer is worth to the utility policy. Default:"
          + " ${DEFAULT-VALUE}.")
  private double alpha;

  @Option(names = "--throttle", paramLabel = "SPEEDS", defaultValue = "model",
      description = "How fast tiers may be when policies are compared: off, model for the proportions of a large"
          + " model, or MB/s of DRAM and SSD such as 100,20. Default: ${DEFAULT-VALUE}.")
  private String throttle;

  @Option(names = "--model", paramLabel = "FILE",
      description = "Weights in the llama2.c format, trained on the same task. Default: those that come with the"
          + " bench.")
  private Path model;

  @Option(names = "--json", paramLabel = "FILE", description = "Also write the results as JSON.")
  private File json;

  @Option(names = "--restarted", paramLabel = "FILE", hidden = true,
      description = "Runs only the part after the restart, and writes its result here.")
  private File restarted;

  /** Creates it, as picocli does. */
  public DemoCommand() {}

  @Override
  public Integer call() throws IOException {
    Console console = new Console(spec);
    console.requireBetween("--documents", documents, 1, MOST_DOCUMENTS);
    console.requireBetween("--questions", questions, 1, MOST_QUESTIONS);
    console.requireBetween("--seed", seed, 0, Integer.MAX_VALUE);
    requireCapacity(console, "--dram", dramBytes, DramTier.MIN_CAPACITY_BYTES, Machine.memoryBytes());
    requireCapacity(console, "--ssd", ssdBytes, SsdTier.MIN_CAPACITY_BYTES, Long.MAX_VALUE);
    console.requireBetween("--requests", requests, 0, MOST_REQUESTS);
    console.requireBetween("--alpha", alpha, 0, Policy.MOST_ALPHA);
    console.read("--throttle", () -> Throttle.parse(throttle, 1));
    DemoTask task = DemoTask.generate(documents, questions, seed);
    if (directory != null) {
      return run(task, directory, console);
    }
    try (TemporaryDirectory temporary = new TemporaryDirectory(null, "kvcache-demo-")) {
      return run(task, temporary.path(), console);
    }
  }

  private int run(DemoTask task, Path at, Console console) throws IOException {
    try (CachedModel engine = new CachedModel(Weights.of(model), Weights.nameOf(model))) {
      DemoRun run = new DemoRun(engine, task, capacities(engine, task), at, codec, console);
      if (restarted != null) {
        new ObjectMapper().writeValue(restarted, run.afterRestart());
        return 0;
      }
      DemoReport report = new DemoReport(run.beforeRestart());
      report.add(new Restart(spec.commandLine(), at).run());
      if (requests > 0) {
        PolicyPhase.Choice choice = new PolicyPhase.Choice(requests, alpha, throttle, seed, directory);
        report.add(new PolicyReport(new PolicyPhase(engine, task, choice, console).run()));
      }
      report.print(spec.commandLine().getOut(), task, run);
      if (json != null) {
        report.writeJson(json);
      }
      return report.faithful() ? 0 : 1;
    }
  }

  private DemoRun.Capacities capacities(CachedModel engine, DemoTask task) {
    WorkingSet kv = WorkingSet.of(engine, task.documents());
    long dram = dramBytes != null ? dramBytes : Math.max(kv.leastDramBytes(), kv.bytes() / 3);
    long ssd = ssdBytes != null ? ssdBytes : 2 * kv.bytes() + DemoRun.SSD_OVERHEAD_BYTES;
    return new DemoRun.Capacities(kv.bytes(), dram, ssd);
  }

  /** Now rather than after minutes of answering questions. */
  private void requireCapacity(Console console, String option, Long bytes, long least, long most) {
    if (bytes != null) {
      console.requireBetween(option, bytes, least, most);
    }
  }
}
