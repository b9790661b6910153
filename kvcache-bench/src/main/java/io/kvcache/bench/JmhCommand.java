package io.kvcache.bench;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Unmatched;

/** Hands its arguments to JMH: a pattern of benchmark names and JMH's own options. */
@Command(
    name = "jmh",
    description = "Runs microbenchmarks; 'jmh -l' lists them, 'jmh -h' is the help of JMH itself.",
    customSynopsis = "kvcache-bench jmh [JMH OPTION...] [PATTERN...]")
final class JmhCommand implements Callable<Integer> {
  @Option(names = "--help", usageHelp = true, description = "Show this help message and exit.")
  private boolean help;

  /** Not parsed here, so that every option of JMH gets through. */
  @Unmatched
  private List<String> arguments = new ArrayList<>();

  @Override
  public Integer call() throws IOException {
    org.openjdk.jmh.Main.main(arguments.toArray(String[]::new));
    return 0;
  }
}
