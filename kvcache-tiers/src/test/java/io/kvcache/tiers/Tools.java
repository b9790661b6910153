package io.kvcache.tiers;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** Commands of the system that some tests need. */
final class Tools {
  private Tools() {}

  /** How strace is called to follow a JVM; it stops at the given calls only, so that the rest runs at full speed. */
  static List<String> tracing(String log, String calls, String... more) {
    List<String> command = new ArrayList<>(tracingAll(log, calls, more));
    command.add(1, "--seccomp-bpf");
    return command;
  }

  /** As {@link #tracing}, stopping at every call: only so are signals injected. */
  static List<String> tracingAll(String log, String calls, String... more) {
    List<String> command = new ArrayList<>(List.of("strace", "-f", "-qq", "-o", log, "-e", "trace=" + calls));
    command.addAll(List.of(more));
    return command;
  }

  /** Whether processes can be traced here. */
  static boolean canTrace() {
    try {
      Process tried = new ProcessBuilder("strace", "-f", "-qq", "--seccomp-bpf", "-e", "trace=fsync", "true")
          .redirectErrorStream(true).start();
      tried.getInputStream().readAllBytes();
      return status(tried) == 0;
    } catch (IOException missing) {
      return false;
    }
  }

  /** Runs a command, which must succeed; returns what it printed. */
  static String run(String... command) throws IOException {
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    String printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, status(process), () -> String.join(" ", command) + ": " + printed);
    return printed;
  }

  private static int status(Process process) {
    try {
      return process.waitFor();
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }
}
