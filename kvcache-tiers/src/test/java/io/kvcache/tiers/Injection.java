package io.kvcache.tiers;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** System calls of another process made to fail or to take long, by {@code strace}, from now until closed. */
final class Injection implements AutoCloseable {
  private static final Path STRACE = Path.of("/usr/bin/strace");

  private final Process strace;

  /** Skips the test, saying so, where system calls cannot be tampered with. */
  static void assumePossible() {
    boolean possible = Files.isExecutable(STRACE) && System.getProperty("user.name").equals("root");
    assumeTrue(possible, "skipped: needs root and " + STRACE + " to make system calls fail");
  }

  /**
   * Takes hold of a process, all its threads.
   *
   * @param calls which system calls, separated by commas
   * @param fault what becomes of them, as in {@code error=EIO}
   * @param path the file that the calls are about; any where null
   */
  static Injection into(Process victim, String calls, String fault, Path path) throws IOException {
    List<String> command = new ArrayList<>(List.of(STRACE.toString(), "-f", "-o", "/dev/null",
        "-e", "trace=" + calls, "-e", "inject=" + calls + ":" + fault, "-p", Long.toString(victim.pid())));
    if (path != null) {
      command.addAll(List.of("-P", path.toString()));
    }
    Process strace = new ProcessBuilder(command).redirectErrorStream(true).start();
    BufferedReader said =
        new BufferedReader(new InputStreamReader(strace.getInputStream(), StandardCharsets.US_ASCII));
    for (String line = said.readLine(); line == null || !line.contains("attached"); line = said.readLine()) {
      if (line == null) {
        throw new IOException("strace has ended");
      }
    }
    return new Injection(strace);
  }

  private Injection(Process strace) {
    this.strace = strace;
  }

  /** Whether the fault is still there. */
  boolean holds() {
    return strace.isAlive();
  }

  /** Lets go; system calls are as before when this returns. */
  @Override
  public void close() {
    strace.destroy(); // it detaches when it is asked to end
    strace.onExit().join();
  }
}
