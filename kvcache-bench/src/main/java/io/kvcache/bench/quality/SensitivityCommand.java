package io.kvcache.bench.quality;

import io.kvcache.bench.Console;
import io.kvcache.bench.model.ModelWeights;
import io.kvcache.bench.serving.Weights;
import io.kvcache.bench.task.DocumentGenerator;
import io.kvcache.bench.task.DocumentKind;
import io.kvcache.bench.task.DocumentSize;
import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.IntFunction;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Tells which kind of document suffers from which encoding. */
@Command(
    name = "sensitivity",
    description = "Asks the shipped model about documents whose KV was quantized or thinned out, by every method and"
        + " rate: which kind of document suffers from which, and how well the estimate from KV alone foretells it.",
    mixinStandardHelpOptions = true)
public final class SensitivityCommand implements Callable<Integer> {
  private static final int MOST = 10_000;

  @Spec
  private CommandSpec spec;

  @Option(names = "--documents", paramLabel = "N", defaultValue = "5",
      description = "Documents of each kind. Default: ${DEFAULT-VALUE}.")
  private int documents;

  @Option(names = "--questions", paramLabel = "N", defaultValue = "5",
      description = "Questions about each document. Default: ${DEFAULT-VALUE}.")
  private int questions;

  @Option(names = "--seed", paramLabel = "N", defaultValue = "1",
      description = "Which documents are generated. Default: ${DEFAULT-VALUE}.")
  private long seed;

  @Option(names = "--model", paramLabel = "FILE",
      description = "Weights in the llama2.c format, trained on the same task. Default: those that come with the"
          + " bench.")
  private Path model;

  @Option(names = "--json", paramLabel = "FILE", description = "Also write the results as JSON.")
  private File json;

  /** Creates it, as picocli does. */
  public SensitivityCommand() {}

  @Override
  public Integer call() throws IOException, InterruptedException, ExecutionException {
    Console console = new Console(spec);
    console.requireBetween("--documents", documents, 1, MOST);
    console.requireBetween("--questions", questions, 1, MOST);
    console.requireBetween("--seed", seed, 0, Integer.MAX_VALUE);
    SensitivityReport report = new SensitivityReport(seed, outcomes(Weights.of(model), console));
    report.print(spec.commandLine().getOut());
    if (json != null) {
      report.writeJson(json);
    }
    return 0;
  }

  /** By document, kinds in turn; each is worked on by one thread, so that the result does not depend on how many. */
  private List<ContextOutcome> outcomes(ModelWeights weights, Console console)
      throws InterruptedException, ExecutionException {
    DocumentGenerator generator = new DocumentGenerator(DocumentSize.STANDARD);
    int kinds = DocumentKind.values().length;
    int total = documents * kinds;
    AtomicInteger done = new AtomicInteger();
    List<ContextOutcome> outcomes = inParallel(total, number -> {
      try (SensitivityRun run = new SensitivityRun(weights)) {
        ContextOutcome outcome = run.run(generator.heldOut(seed, number), number / kinds, questions);
        console.say("\r%4d of %d documents", done.incrementAndGet(), total);
        return outcome;
      }
    });
    console.say("%n");
    return outcomes;
  }

  /** What comes of each number below {@code count}, in order. Once one fails, no other is begun. */
  static <T> List<T> inParallel(int count, IntFunction<T> work)
      throws InterruptedException, ExecutionException {
    try (ExecutorService threads = Executors.newFixedThreadPool(Runtime.getRuntime().availableProcessors())) {
      try {
        List<Future<T>> running = new ArrayList<>();
        for (int number = 0; number < count; number++) {
          int current = number;
          running.add(threads.submit(() -> work.apply(current)));
        }
        List<T> results = new ArrayList<>();
        for (Future<T> each : running) {
          results.add(each.get());
        }
        return results;
      } finally {
        threads.shutdownNow();
      }
    }
  }
}
