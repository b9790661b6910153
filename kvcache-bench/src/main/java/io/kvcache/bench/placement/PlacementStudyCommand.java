package io.kvcache.bench.placement;

import io.kvcache.bench.Console;
import io.kvcache.bench.serving.CachedModel;
import io.kvcache.bench.serving.Prefilled;
import io.kvcache.bench.serving.Weights;
import io.kvcache.bench.serving.WorkingSet;
import io.kvcache.bench.task.DocumentGenerator;
import io.kvcache.bench.task.DocumentSize;
import io.kvcache.bench.task.RecallDocument;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
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
  /** A segment has at most 64 chunks, and a document is to be decided about as a whole. */
  private static final int LEAST_CHUNK_TOKENS = 32;
  /** Every document has a full chunk. */
  private static final int MOST_CHUNK_TOKENS = 256;
  private static final int MOST_TRAINING = 100;
  private static final double MOST_ZIPF = 10;
  /** The first seeds are those that the other commands have, and constants were chosen on. */
  private static final int SEEDS_BEFORE = 1000;
  private static final String FIXED = "raw,lz4,int8,int4,"
      + "streaming-70+int4,streaming-50+int4,streaming-30+int4,streaming-10+int4,"
      + "knorm-70+int4,knorm-50+int4,knorm-30+int4,knorm-10+int4,"
      + "keydiff-70+int4,keydiff-50+int4,keydiff-30+int4,keydiff-10+int4,"
      + "snapkv-70+int4,snapkv-50+int4,snapkv-30+int4,snapkv-10+int4,"
      + "h2o-90+int4,h2o-70+int4,h2o-50+int4,h2o-30+int4,h2o-10+int4,"
      + "expected-90+int4,expected-70+int4,expected-50+int4,expected-30+int4,expected-10+int4";

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

  @Option(names = "--training", paramLabel = "N", defaultValue = "32",
      description = "Questions of each document that quality is measured by; answers are reported on others."
          + " Default: ${DEFAULT-VALUE}.")
  private int training;

  @Option(names = "--zipf", paramLabel = "X", defaultValue = "0.9",
      description = "Exponent of the documents' popularity. Default: ${DEFAULT-VALUE}.")
  private double zipf;

  @Option(names = "--capacities", paramLabel = "DRAM/SSD", split = ",", defaultValue = "0.08/0.15",
      description = "Capacities of the tiers, as shares of the raw KV. Default: ${DEFAULT-VALUE}.")
  private List<String> capacities;

  @Option(names = "--chunk-tokens", paramLabel = "N", defaultValue = "" + CachedModel.CHUNK_TOKENS,
      description = "Tokens of a chunk, a power of two. Of small ones tiers' bookkeeping weighs more; behind large ones"
          + " more tokens are left over, which are always computed. Default: ${DEFAULT-VALUE}.")
  private int chunkTokens;

  @Option(names = "--fixed", paramLabel = "ENCODING", split = ",", defaultValue = FIXED,
      description = "Encodings under LRU. Default: ${DEFAULT-VALUE}.")
  private List<String> fixed;

  @Option(names = "--alphas", paramLabel = "SECONDS", split = ",",
      defaultValue = "0.002,0.004,0.006,0.01,0.02,0.05,0.1,0.2,0.5,1,2,5,20",
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
    console.requireBetween("--training", training, 0, MOST_TRAINING);
    console.requireBetween("--zipf", zipf, 0, MOST_ZIPF);
    console.requireBetween("--chunk-tokens", chunkTokens, LEAST_CHUNK_TOKENS, MOST_CHUNK_TOKENS);
    if (Integer.bitCount(chunkTokens) != 1) {
      throw console.wrong("--chunk-tokens is " + chunkTokens + ", must be a power of two");
    }
    alphas.forEach(each -> console.requireBetween("--alphas", each, 0, Policy.MOST_ALPHA));
    if (directory != null && !(Files.isDirectory(directory) && Files.isWritable(directory))) {
      throw console.wrong("--dir " + directory + " is not a writable directory");
    }
    List<Study> studies = console.read("--capacities",
        () -> capacities.stream().map(Capacity::parse).map(Study::new).toList());
    List<Policy> policies = console.read("--fixed", this::policies);
    console.read("--throttle", () -> Throttle.parse(throttle, 1));
    Throttle speeds = null;
    try (CachedModel engine = new CachedModel(Weights.of(model), Weights.nameOf(model), chunkTokens)) {
      requireCapacities(console, engine, studies);
      for (int seed = 1; seed <= seeds; seed++) {
        speeds = run(console, engine, seed, policies, studies, speeds);
      }
    }
    StudyReport report = new StudyReport(studies, speeds, chunkTokens);
    report.print(spec.commandLine().getOut());
    if (json != null) {
      report.writeJson(json);
    }
    return 0;
  }

  private List<Policy> policies() {
    List<Policy> policies = new ArrayList<>(List.of(Policy.noCache()));
    fixed.forEach(name -> policies.add(Policy.lru(name)));
    alphas.forEach(alpha -> policies.add(Policy.utility(alpha)));
    return policies;
  }

  /** Those of a seed, none of which the demo or the sensitivity run has by default. */
  static List<RecallDocument> documents(int seed, int count) {
    DocumentGenerator generator = new DocumentGenerator(DocumentSize.STANDARD);
    return IntStream.range(0, count).mapToObj(number -> generator.heldOut(SEEDS_BEFORE + seed, number))
        .toList();
  }

  /** Refuses tiers that cannot be, before minutes of reading documents. */
  private void requireCapacities(Console console, CachedModel engine, List<Study> studies) {
    for (int seed = 1; seed <= seeds; seed++) {
      WorkingSet kv = WorkingSet.of(engine, documents(seed, documents));
      for (Study study : studies) {
        console.read("--capacities", () -> study.capacity().setting(kv, Throttle.OFF));
      }
    }
  }

  /** Runs all policies on the documents of a seed; the first seed measures how fast tiers may be, for all. */
  private Throttle run(Console console, CachedModel engine, int seed, List<Policy> policies,
      List<Study> studies, Throttle known) throws IOException {
    List<RecallDocument> toRead = documents(seed, documents);
    List<Prefilled> read = new ArrayList<>();
    try {
      for (RecallDocument document : toRead) {
        read.add(engine.prefill(document, training));
        console.say("\rseed %d: read %d of %d documents", seed, read.size(), documents);
      }
      console.say("%n");
      Comparison comparison = new Comparison(engine, read, directory);
      comparison.prefillBytesPerSecond(); // the first time is for the just-in-time compiler
      Throttle speeds = known != null ? known : Throttle.parse(throttle, comparison.prefillBytesPerSecond());
      comparison.measureQualities(
          done -> console.say("\rseed %d: measured the qualities of %d of %d documents", seed, done,
              documents));
      console.say("%n");
      Workload workload = Workload.generate(read, requests, zipf, MOST_QUESTIONS, seed);
      WorkingSet kv = WorkingSet.of(engine, toRead);
      for (Study study : studies) {
        Setting setting = study.capacity().setting(kv, speeds);
        study.on(setting);
        for (Policy policy : inTurn(policies, seed)) {
          run(console, comparison, policy, study, setting, workload, seed);
        }
      }
      return speeds;
    } finally {
      read.forEach(Prefilled::close);
    }
  }

  /** Another one first for each seed: whoever comes first finds the machine as nobody else does. */
  static List<Policy> inTurn(List<Policy> policies, int seed) {
    List<Policy> order = new ArrayList<>(policies);
    Collections.rotate(order, 1 - seed);
    return order;
  }

  private static void run(Console console, Comparison comparison, Policy policy, Study study, Setting setting,
      Workload workload, int seed) throws IOException {
    long start = System.nanoTime();
    PolicyResult result = comparison.run(policy, setting, workload, done -> console
        .say("\rseed %d, %s, %-22s %4d requests", seed, study.capacity().name(), policy.name(), done));
    study.add(policy, result);
    console.say(": mean %.1f ms, accuracy %.3f, took %.1f s%n", result.ttftMillisMean(), result.accuracy(),
        (System.nanoTime() - start) / 1e9);
  }
}
