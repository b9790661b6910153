package io.kvcache.bench.quality;

import io.kvcache.DType;
import io.kvcache.Encoding;
import io.kvcache.bench.Console;
import io.kvcache.bench.model.KvState;
import io.kvcache.bench.model.ModelWeights;
import io.kvcache.bench.model.Tokenizer;
import io.kvcache.bench.model.Transformer;
import io.kvcache.bench.serving.Weights;
import io.kvcache.bench.task.Vocabulary;
import io.kvcache.compress.Compressors;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.IntFunction;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Tells of every codec and rate what it costs and what it gives. */
@Command(
    name = "fidelity",
    description = "Scores every codec, and every way to drop tokens at every rate, on KV that models compute: bytes,"
        + " speed, error of keys, values and attention, divergence and agreement of predictions, exact answers. Of the"
        + " shipped model, and of another one if it is given. Takes five to fifteen minutes on two cores.",
    mixinStandardHelpOptions = true)
public final class FidelityCommand implements Callable<Integer> {
  private static final int MOST_PROMPTS = 10_000;

  @Spec
  private CommandSpec spec;

  @Option(names = "--model", paramLabel = "PATH",
      description = "Also score KV of this checkpoint in the llama2.c format. One that has a tokenizer reads text, its"
          + " KV kept in F16; one that has none is taken to be trained for the shipped model's task.")
  private Path model;

  @Option(names = "--tokenizer", paramLabel = "FILE",
      description = "That checkpoint's tokenizer, in the llama2.c format. Default: tok<vocabulary size>.bin beside it.")
  private Path tokenizer;

  @Option(names = "--text", paramLabel = "FILE",
      description = "What it reads. Default: the only .txt file in its folder, or in the folder text beside that.")
  private Path text;

  @Option(names = "--prompts", paramLabel = "N", defaultValue = "200",
      description = "Prompts of each model. Default: ${DEFAULT-VALUE}.")
  private int prompts;

  @Option(names = "--seed", paramLabel = "N", defaultValue = "1",
      description = "Which documents are generated. Default: ${DEFAULT-VALUE}.")
  private long seed;

  @Option(names = "--json", paramLabel = "FILE", description = "Also write the results as JSON.")
  private File json;

  @Option(names = "--html", paramLabel = "FILE",
      description = "Also write a page with tables and plots, which needs nothing else.")
  private Path html;

  /** Creates it, as picocli does. */
  public FidelityCommand() {}

  /** A model, and what it is given to read. */
  private record Subject(String name, ModelWeights weights, DType dtype,
      IntFunction<FidelityPrompt> prompts) {}

  @Override
  public Integer call() throws IOException, InterruptedException, ExecutionException {
    Console console = new Console(spec);
    console.requireBetween("--prompts", prompts, 1, MOST_PROMPTS);
    console.requireBetween("--seed", seed, 0, Integer.MAX_VALUE);
    List<Subject> subjects = new ArrayList<>();
    subjects.add(new Subject("shipped", Weights.shipped(), DType.BF16, FidelityPrompts.documents(seed)));
    if (model != null) {
      subjects.add(given(console));
    }
    List<FidelityResult> results = new ArrayList<>();
    for (Subject subject : subjects) {
      results.add(result(subject, console));
    }
    String command = "kvcache-bench " + String.join(" ", spec.commandLine().getParseResult().originalArgs());
    FidelityReport report = new FidelityReport(command, results);
    report.print(spec.commandLine().getOut());
    if (json != null) {
      report.writeJson(json);
    }
    if (html != null) {
      report.writeHtml(html);
    }
    return 0;
  }

  private Subject given(Console console) throws IOException {
    ModelWeights weights = ModelWeights.read(model);
    String name = model.getFileName().toString();
    int vocabulary = weights.config().vocabulary();
    Path words = tokenizer != null ? tokenizer : model.resolveSibling("tok" + vocabulary + ".bin");
    if (tokenizer == null && text == null && !Files.exists(words) && vocabulary >= Vocabulary.size()) {
      return new Subject(name, Weights.of(model), DType.BF16, FidelityPrompts.documents(seed));
    }
    Path reading = text != null ? text : textNear(model.toAbsolutePath().getParent(), console);
    return new Subject(name, weights, DType.F16,
        FidelityPrompts.text(reading, Tokenizer.read(words, vocabulary), weights.config(), prompts, 1));
  }

  private static Path textNear(Path folder, Console console) throws IOException {
    for (Path candidate : new Path[] {folder, folder.resolveSibling("text")}) {
      if (Files.isDirectory(candidate)) {
        try (Stream<Path> files = Files.list(candidate)) {
          List<Path> texts = files.filter(file -> file.toString().endsWith(".txt")).toList();
          if (texts.size() == 1) {
            return texts.getFirst();
          }
        }
      }
    }
    throw console.wrong("no text for the model to read was found near it; name one with --text");
  }

  /** Each prompt is worked on by one thread, so that the result does not depend on how many there are. */
  private FidelityResult result(Subject subject, Console console)
      throws InterruptedException, ExecutionException {
    List<Encoding> encodings = FidelityRun.encodings();
    AtomicInteger done = new AtomicInteger();
    List<Map<Encoding, FidelityOutcome>> outcomes = SensitivityCommand.inParallel(prompts, number -> {
      try (FidelityRun run = new FidelityRun(subject.weights, subject.dtype, Compressors.all())) {
        Map<Encoding, FidelityOutcome> outcome = run.run(subject.prompts.apply(number), encodings);
        console.say("\r%s: %4d of %d prompts", subject.name, done.incrementAndGet(), prompts);
        return outcome;
      }
    });
    console.say("%n");
    return new FidelityResult(subject.name, subject.dtype,
        IntStream.range(0, prompts).mapToObj(subject.prompts).toList(), outcomes,
        speeds(subject, encodings, console));
  }

  private Map<Encoding, CodecSpeeds.Speed> speeds(Subject subject, List<Encoding> encodings,
      Console console) {
    Map<Encoding, CodecSpeeds.Speed> speeds = new LinkedHashMap<>();
    try (Transformer transformer = new Transformer(subject.weights,
        Runtime.getRuntime().availableProcessors(), subject.dtype);
        CodecSpeeds measured =
            new CodecSpeeds(FidelityRun.layoutOf(subject.weights.config(), subject.dtype),
                CodecSpeeds.ROTATION_BYTES)) {
      for (int number = 0; !measured.full(); number++) {
        int[] prompt = subject.prompts.apply(number % prompts).tokens();
        try (KvState state = transformer.newState(prompt.length)) {
          transformer.prefill(state, prompt);
          measured.add(state);
        }
      }
      for (Encoding encoding : encodings) {
        speeds.put(encoding, measured.of(encoding));
        console.say("\r%s: %3d of %d speeds", subject.name, speeds.size(), encodings.size());
      }
    }
    console.say("%n");
    return speeds;
  }
}
