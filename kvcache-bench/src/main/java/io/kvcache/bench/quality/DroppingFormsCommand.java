package io.kvcache.bench.quality;

import io.kvcache.bench.Console;
import io.kvcache.bench.model.ModelWeights;
import io.kvcache.bench.quality.FormRun.Choice;
import io.kvcache.bench.quality.FormRun.Outcome;
import io.kvcache.bench.serving.Weights;
import io.kvcache.bench.task.DocumentGenerator;
import io.kvcache.bench.task.DocumentKind;
import io.kvcache.bench.task.DocumentSize;
import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.atomic.AtomicInteger;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Tells what it costs that a cache keeps equally many tokens in all heads, or the same. */
@Command(
    name = "dropping-forms",
    description = "Keeps the same number of (layer, head, token) entries of a document's KV in several forms, such as"
        + " the one that is stored, the uniform one, and ragged ones, and asks the shipped model about it.",
    mixinStandardHelpOptions = true)
public final class DroppingFormsCommand implements Callable<Integer> {
  private static final int MOST = 10_000;

  @Spec
  private CommandSpec spec;

  @Option(names = "--documents", paramLabel = "N", defaultValue = "4",
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
  public DroppingFormsCommand() {}

  @Override
  public Integer call() throws IOException, InterruptedException, ExecutionException {
    Console console = new Console(spec);
    console.requireBetween("--documents", documents, 1, MOST);
    console.requireBetween("--questions", questions, 1, MOST);
    console.requireBetween("--seed", seed, 0, Integer.MAX_VALUE);
    ModelWeights weights = Weights.of(model);
    DocumentGenerator generator = new DocumentGenerator(DocumentSize.STANDARD);
    int total = documents * DocumentKind.values().length;
    AtomicInteger done = new AtomicInteger();
    List<Map<Choice, Outcome>> outcomes = SensitivityCommand.inParallel(total, number -> {
      try (FormRun run = new FormRun(weights)) {
        Map<Choice, Outcome> outcome = run.run(generator.heldOut(seed, number), questions);
        console.say("\r%4d of %d documents", done.incrementAndGet(), total);
        return outcome;
      }
    });
    console.say("%n");
    FormReport report = new FormReport(seed, outcomes);
    report.print(spec.commandLine().getOut());
    if (json != null) {
      report.writeJson(json);
    }
    return 0;
  }
}
