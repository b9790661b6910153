package io.kvcache.bench;

import io.kvcache.bench.model.ModelConfig;
import io.kvcache.bench.model.ModelWeights;
import io.kvcache.bench.model.PrefillProbe;
import java.io.PrintWriter;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Measures the bench's engine, so that nobody need wonder whether a cache only saves its slowness. */
@Command(
    name = "prefill",
    description = "Measures prefill as a fraction of a plain Java matrix product in the same process, for a model as"
        + " wide as the shipped one and a larger one.",
    mixinStandardHelpOptions = true)
final class PrefillCommand implements Callable<Integer> {
  private static final List<ModelConfig> MODELS = List.of(
      new ModelConfig(128, 352, 4, 4, 2, 512, 2048, true),
      new ModelConfig(256, 256, 4, 4, 2, 512, 2048, true),
      new ModelConfig(256, 704, 6, 8, 4, 512, 2048, true));

  @Spec
  private CommandSpec spec;

  @Option(names = "--tokens", paramLabel = "N", defaultValue = "2000",
      description = "Tokens of the prompt. Default: ${DEFAULT-VALUE}.")
  private int tokens;

  @Override
  public Integer call() {
    new Console(spec).requireBetween("--tokens", tokens, 1, MODELS.getFirst().context());
    PrintWriter out = spec.commandLine().getOut();
    out.printf("%-22s %8s %12s %10s %16s %10s%n", "model", "threads", "millis", "GFLOP/s", "matmul GFLOP/s",
        "fraction");
    for (ModelConfig config : MODELS) {
      for (int threads = 1; threads <= Runtime.getRuntime().availableProcessors(); threads *= 2) {
        PrefillProbe probe = PrefillProbe.measure(ModelWeights.random(config, 1), tokens, threads);
        out.printf(Locale.ROOT, "%-22s %8d %12.1f %10.1f %16.1f %10.2f%n",
            "width " + config.width() + ", " + config.layers() + " layers", threads, probe.millis(),
            probe.gflops(),
            probe.matmulGflops(), probe.fraction());
        out.flush();
      }
    }
    return 0;
  }
}
