package io.kvcache.bench.placement;

import io.kvcache.Encoding;
import io.kvcache.bench.Console;
import io.kvcache.bench.EncodingNames;
import io.kvcache.bench.serving.CachedModel;
import io.kvcache.bench.serving.Prefilled;
import io.kvcache.bench.serving.Weights;
import io.kvcache.bench.serving.WorkingSet;
import io.kvcache.bench.task.DocumentGenerator;
import io.kvcache.bench.task.DocumentKind;
import io.kvcache.bench.task.DocumentSize;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Compares utility with every fixed encoding under LRU, over several seeds and capacities. */
@Command(
    name = "placement-study",
    description = "Compares placement by utility with LRU in every fixed encoding: accuracy of the shipped model's"
        + " answers to unseen questions, and time to first token, over several seeds. What is asked and answered"
        + " depends on the seeds alone, but for which moves were over in time.",
    mixinStandardHelpOptions = true)
public final class PlacementStudyCommand implements Callable<Integer> {
  private static final int MOST = 100_000;
  private static final int MOST_QUESTIONS = 4;
  private static final String FIXED = "raw,lz4,int8,int4,"
      + "streaming-70+int4,streaming-50+int4,streaming-30+int4,streaming-10+int4,"
      + "knorm-70+int4,knorm-50+int4,knorm-30+int4,knorm-10+int4,"
      + "keydiff-70+int4,keydiff-50+int4,keydiff-30+int4,keydiff-10+int4,"
      + "snapkv-70+int4,snapkv-50+int4,snapkv-30+int4,snapkv-10+int4,"
      + "h2o-70+int4,h2o-50+int4,h2o-30+int4,h2o-10+int4,"
      + "expected-70+int4,expected-50+int4,expected-30+int4,expected-10+int4";

  @Spec
  private CommandSpec spec;

  @Option(names = "--seeds", paramLabel = "N", defaultValue = "5",
      description = "Seeds: each has its documents and requests. Default: ${DEFAULT-VALUE}.")
  private int seeds;

  @Option(names = "--documents", paramLabel = "N", defaultValue = "30",
      description = "Documents of each seed, of all kinds in turn. Default: ${DEFAULT-VALUE}.")
  private int documents;

  @Option(names = "--requests", paramLabel = "N", defaultValue = "60",
      description = "Requests measured, after as many to warm up. Default: ${DEFAULT-VALUE}.")
  private int requests;

  @Option(names = "--training", paramLabel = "N", defaultValue = "12",
      description = "Questions of each document that quality is measured by; answers are reported on others."
          + " Default: ${DEFAULT-VALUE}.")
  private int training;

  @Option(names = "--zipf", paramLabel = "X", defaultValue = "0.9",
      description = "Exponent of the documents' popularity. Default: ${DEFAULT-VALUE}.")
  private double zipf;

  @Option(names = "--capacities", paramLabel = "DRAM/SSD", split = ",", defaultValue = "0.08/0.15",
      description = "Capacities of the tiers, as shares of the raw KV. Default: ${DEFAULT-VALUE}.")
  private List<String> capacities;

  @Option(names = "--fixed", paramLabel = "ENCODING", split = ",", defaultValue = FIXED,
      description = "Encodings under LRU. Default: ${DEFAULT-VALUE}.")
  private List<String> fixed;

  @Option(names = "--alphas", paramLabel = "SECONDS", split = ",", defaultValue = "0.1,0.3,1,5,20",
      description = "What the whole quality of an answer is worth to utility, in seconds of delay. Default:"
          + " ${DEFAULT-VALUE}.")
  private List<Double> alphas;

  @Option(names = "--throttle", paramLabel = "SPEEDS", defaultValue = "model",
      description = "How fast tiers may be: off, model for the proportions of a large model, or MB/s of DRAM and SSD"
          + " such as 100,20. Default: ${DEFAULT-VALUE}.")
  private String throttle;

  @Option(names = "--dir", paramLabel = "DIR",
      description = "Where disk tiers lie while they are used. Default: the system's temporary directory.")
  private Path directory;

  @Option(names = "--model", paramLabel = "FILE", description = "Other weights, in the llama2.c format.")
  private Path model;

  @Option(names = "--json", paramLabel = "FILE", description = "Also write the results as JSON.")
  private File json;

  /** Creates it, as picocli does. */
  public PlacementStudyCommand() {}

  @Override
  public Integer call() throws IOException {
    Console console = new Console(spec);
    console.requireBetween("--seeds", seeds, 1, MOST);
    console.requireBetween("--documents", documents, 1, MOST);
    console.requireBetween("--requests", requests, 1, MOST);
    List<Policy> policies;
    List<Study> studies;
    try {
      policies = policies();
      studies = capacities.stream().map(Capacity::parse).map(Study::new).toList();
      Throttle.parse(throttle, 1);
    } catch (IllegalArgumentException e) {
      throw console.wrong(e.getMessage());
    }
    if (directory != null && !(Files.isDirectory(directory) && Files.isWritable(directory))) {
      throw console.wrong("--dir " + directory + " is not a writable directory");
    }
    Throttle speeds = null;
    try (CachedModel engine = new CachedModel(Weights.of(model), Weights.nameOf(model))) {
      for (int seed = 1; seed <= seeds; seed++) {
        speeds = run(console, engine, seed, policies, studies, speeds);
      }
    }
    StudyReport report = new StudyReport(studies, speeds);
    report.print(spec.commandLine().getOut());
    if (json != null) {
      report.writeJson(json);
    }
    return 0;
  }

  private List<Policy> policies() {
    List<Policy> policies = new ArrayList<>(List.of(Policy.noCache()));
    for (String name : fixed) {
      Encoding encoding = EncodingNames.parse(name);
      policies.add(Policy.lru(encoding));
    }
    for (double alpha : alphas) {
      policies.add(Policy.utility(alpha));
      policies.getLast().placement().orElseThrow().get(); // refuses an alpha that is none, now
    }
    return policies;
  }

  /** Runs all policies on the documents of a seed; the first seed measures how fast tiers may be, for all. */
  private Throttle run(Console console, CachedModel engine, int seed, List<Policy> policies,
      List<Study> studies,
      Throttle known)
      throws IOException {
    List<Prefilled> read = new ArrayList<>();
    try {
      DocumentGenerator generator = new DocumentGenerator(DocumentSize.STANDARD);
      DocumentKind[] kinds = DocumentKind.values();
      for (int number = 0; number < documents; number++) {
        read.add(engine.prefill(generator.generate(kinds[number % kinds.length],
            DocumentGenerator.FIRST_HELD_OUT_SEED + seed * 1_000_000L + number), training));
        console.say("\rseed %d: read %d of %d documents", seed, read.size(), documents);
      }
      console.say("%n");
      Comparison comparison = new Comparison(engine, read, directory);
      comparison.prefillBytesPerSecond(); // the first time is for the just-in-time compiler
      Throttle speeds = known != null ? known : Throttle.parse(throttle, comparison.prefillBytesPerSecond());
      Workload workload = Workload.generate(read, requests, zipf, MOST_QUESTIONS, seed);
      WorkingSet kv = WorkingSet.of(engine, read.stream().map(Prefilled::document).toList());
      for (Study study : studies) {
        Setting setting = study.capacity().setting(kv, speeds);
        study.on(setting);
        for (Policy policy : policies) {
          long start = System.nanoTime();
          PolicyResult result = comparison.run(policy, setting,
              workload,
              done -> console.say("\rseed %d, %s, %-22s %4d requests", seed, study.capacity().name(),
                  policy.name(),
                  done));
          study.add(policy, result);
          console.say(": mean %.1f ms, accuracy %.3f, took %.1f s%n", result.ttftMillisMean(),
              result.accuracy(),
              (System.nanoTime() - start) / 1e9);
        }
      }
      return speeds;
    } finally {
      read.forEach(Prefilled::close);
    }
  }
}
