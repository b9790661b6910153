package io.kvcache.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.List;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;

class MainTest {
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  private int run(String... args) {
    return Main.commandLine().setOut(new PrintWriter(out)).setErr(new PrintWriter(err)).execute(args);
  }

  @Test
  void helpNamesEverySubcommand() {
    assertEquals(0, run("--help"));
    for (String name : Main.commandLine().getSubcommands().keySet()) {
      assertTrue(out.toString().contains("  " + name + " "), out::toString);
    }
  }

  @Test
  void everySubcommandHasHelp() {
    for (CommandLine subcommand : Main.commandLine().getSubcommands().values()) {
      assertEquals(0, run(subcommand.getCommandName(), "--help"));
      assertTrue(out.toString().contains("kvcache-bench " + subcommand.getCommandName()), out::toString);
    }
  }

  @Test
  void unknownOptionIsNamedAndExitsWith2() {
    assertEquals(2, run("--frobnicate"));
    assertEquals(List.of("kvcache-bench: Unknown option: '--frobnicate'", "Try 'kvcache-bench --help'."),
        err.toString().lines().toList());
  }

  @Test
  void missingSubcommandIsAnError() {
    assertEquals(2, run());
    assertTrue(err.toString().startsWith("kvcache-bench: Missing required subcommand"), err::toString);
  }
}
