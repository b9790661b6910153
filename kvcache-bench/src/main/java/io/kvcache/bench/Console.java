package io.kvcache.bench;

import java.io.PrintWriter;
import java.util.Locale;
import java.util.function.Supplier;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;

/** What a command says to its user besides results: what is wrong with an option, and how far it has come. */
public final class Console {
  private final CommandLine command;

  /** That of the command, once it is parsed. */
  public Console(CommandSpec spec) {
    command = spec.commandLine();
  }

  /** Complains about a value outside its limits. */
  public void requireBetween(String option, long value, long least, long most) {
    if (value < least || value > most) {
      throw wrong(option + " is " + value + ", must be " + least + " to " + most);
    }
  }

  /** Complains about a value outside its limits, or that is no number. */
  public void requireBetween(String option, double value, double least, double most) {
    if (!(value >= least && value <= most)) {
      throw wrong(option + " is " + value + ", must be " + least + " to " + most);
    }
  }

  /** What an option's text stands for; complains, naming the option, where reading it throws. */
  public <T> T read(String option, Supplier<T> reading) {
    try {
      return reading.get();
    } catch (IllegalArgumentException e) {
      throw wrong(option + ": " + e.getMessage());
    }
  }

  /** The complaint, to be thrown; ends the command with the exit code of a wrong command line. */
  public ParameterException wrong(String message) {
    return new ParameterException(command, message);
  }

  /** Tells of progress. */
  public void say(String format, Object... values) {
    PrintWriter progress = command.getErr();
    progress.printf(Locale.ROOT, format, values);
    progress.flush();
  }
}
