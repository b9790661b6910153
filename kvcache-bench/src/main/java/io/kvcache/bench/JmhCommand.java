package io.kvcache.bench;

import io.kvcache.bench.jmh.CodecTable;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Callable;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.NoBenchmarksException;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.CommandLineOptionException;
import org.openjdk.jmh.runner.options.CommandLineOptions;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import picocli.CommandLine.Unmatched;

/**
 * Hands its arguments to JMH: a pattern of benchmark names and JMH's own options. Benchmarks of codecs run for all
 * codecs there are, unless {@code -p codec=} names some, and what they measured is printed as a table behind.
 */
@Command(
    name = "jmh",
    description = "Runs microbenchmarks; 'jmh -l' lists them, 'jmh -h' is the help of JMH itself.",
    customSynopsis = "kvcache-bench jmh [JMH OPTION...] [PATTERN...]")
final class JmhCommand implements Callable<Integer> {
  /** Options of JMH that only tell, which its own main class does best. */
  private static final Set<String> TELLING = Set.of("-h", "-l", "-lp", "-lprof", "-lrf");
  private static final String CODEC = "codec";

  @Spec
  private CommandSpec spec;

  @Option(names = "--help", usageHelp = true, description = "Show this help message and exit.")
  private boolean help;

  /** Not parsed here, so that every option of JMH gets through. */
  @Unmatched
  private List<String> arguments = new ArrayList<>();

  @Override
  public Integer call() throws IOException, RunnerException {
    String[] args = arguments.toArray(String[]::new);
    if (arguments.stream().anyMatch(TELLING::contains)) {
      org.openjdk.jmh.Main.main(args);
      return 0;
    }
    try {
      CommandLineOptions given = new CommandLineOptions(args);
      OptionsBuilder options = new OptionsBuilder();
      options.parent(given);
      if (!given.getParameter(CODEC).hasValue()) {
        options.param(CODEC, CodecTable.codecs().toArray(String[]::new));
      }
      Collection<RunResult> results = new Runner(options.build()).run();
      CodecTable.print(results, spec.commandLine().getOut());
      return 0;
    } catch (CommandLineOptionException | NoBenchmarksException e) {
      throw new Console(spec).wrong(e.getMessage() == null ? "no benchmark matches" : e.getMessage());
    }
  }
}
