package io.kvcache.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;

class MainTest {
  private final Invocation bench = new Invocation();

  @Test
  void helpNamesEverySubcommand() {
    assertEquals(0, bench.run("--help"));
    for (String name : Main.commandLine().getSubcommands().keySet()) {
      assertTrue(bench.out().contains("  " + name + " "), bench::out);
    }
  }

  @Test
  void everySubcommandHasHelp() {
    for (CommandLine subcommand : Main.commandLine().getSubcommands().values()) {
      assertEquals(0, bench.run(subcommand.getCommandName(), "--help"));
      assertTrue(bench.out().contains("kvcache-bench " + subcommand.getCommandName()), bench::out);
    }
  }

  @Test
  void unknownOptionIsNamedAndExitsWith2() {
    assertEquals(2, bench.run("--frobnicate"));
    assertEquals(List.of("kvcache-bench: Unknown option: '--frobnicate'", "Try 'kvcache-bench --help'."),
        bench.err().lines().toList());
  }

  @Test
  void missingSubcommandIsAnError() {
    assertEquals(2, bench.run());
    assertTrue(bench.err().startsWith("kvcache-bench: Missing required subcommand"), bench::err);
  }
}
