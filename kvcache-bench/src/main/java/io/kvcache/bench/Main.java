package io.kvcache.bench;

import io.kvcache.bench.demo.DemoCommand;
import io.kvcache.bench.demo.KvSampleCommand;
import io.kvcache.bench.limits.LimitsCommand;
import io.kvcache.bench.limits.SsdCommand;
import io.kvcache.bench.local.IndexMemoryCommand;
import io.kvcache.bench.local.LookupLoadCommand;
import io.kvcache.bench.placement.PlacementStudyCommand;
import io.kvcache.bench.quality.DroppingFormsCommand;
import io.kvcache.bench.quality.FidelityCommand;
import io.kvcache.bench.quality.SensitivityCommand;
import java.io.IOException;
import java.io.PrintWriter;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.ParameterException;

/**
 * The command line of the bench. Each subcommand is a class of its own that is named here.
 *
 * <p>Exit codes: 0 for success, 1 when the work failed, 2 when the command line is wrong.
 */
@Command(
    name = "kvcache-bench",
    description = "Demo, physical limits and benchmarks of kvcache.",
    mixinStandardHelpOptions = true,
    version = "kvcache-bench 0.1.0-SNAPSHOT",
    synopsisSubcommandLabel = "COMMAND",
    subcommands = {DemoCommand.class, LimitsCommand.class, PrefillCommand.class, JmhCommand.class,
      KvSampleCommand.class, SensitivityCommand.class, DroppingFormsCommand.class,
      PlacementStudyCommand.class, IndexMemoryCommand.class, SsdCommand.class, LookupLoadCommand.class,
      FidelityCommand.class})
public final class Main {
  private Main() {}

  /** Runs the subcommand that {@code args} name and exits with its code. */
  public static void main(String[] args) {
    System.exit(commandLine().execute(args));
  }

  /** The whole command line, ready to execute. */
  static CommandLine commandLine() {
    CommandLine commandLine = new CommandLine(new Main());
    commandLine.setCaseInsensitiveEnumValuesAllowed(true);
    commandLine.setParameterExceptionHandler(Main::explain);
    commandLine.setExecutionExceptionHandler(Main::explainFailure);
    return commandLine;
  }

  /** One line that says what is wrong and one that says where help is, instead of picocli's whole usage text. */
  private static int explain(ParameterException e, String[] args) {
    CommandLine command = e.getCommandLine();
    PrintWriter err = command.getErr();
    String name = command.getCommandSpec().qualifiedName();
    err.println(name + ": " + e.getMessage());
    err.println("Try '" + name + " --help'.");
    return command.getCommandSpec().exitCodeOnInvalidInput();
  }

  /** A stack trace only where it helps: not for what the user or the machine can put right. */
  private static int explainFailure(Exception e, CommandLine command, CommandLine.ParseResult result) {
    if (e instanceof IOException) {
      command.getErr().println(command.getCommandSpec().qualifiedName() + ": " + e);
    } else {
      e.printStackTrace(command.getErr());
    }
    return command.getCommandSpec().exitCodeOnExecutionException();
  }
}
