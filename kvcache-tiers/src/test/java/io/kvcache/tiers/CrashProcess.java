package io.kvcache.tiers;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** A {@link CrashChild}, started ahead of its life: a JVM takes longer to start than it lives here. */
final class CrashProcess implements AutoCloseable {
  private final Process process;

  /** Starts a JVM under a command such as {@code strace}, or under none. */
  CrashProcess(List<String> under) throws IOException {
    process = Children.start(under, CrashChild.class);
  }

  /** Has it open the store and use it. */
  void go(CrashOptions options) throws IOException {
    process.getOutputStream().write((options.line() + "\n").getBytes(StandardCharsets.US_ASCII));
    process.getOutputStream().close();
  }

  /** Listens to so many lines; false when it ended before. */
  boolean follow(CrashLedger ledger, int lines) throws IOException {
    for (int i = 0; i < lines; i++) {
      String line = Children.line(process);
      if (line == null) {
        return false;
      }
      ledger.heard(line);
    }
    return true;
  }

  /** Kills it with SIGKILL, listens to what it had said, and waits until nothing of it is left. */
  void kill(CrashLedger ledger) throws IOException, InterruptedException {
    List<ProcessHandle> under = process.descendants().toList(); // where the JVM runs under another command
    under.forEach(ProcessHandle::destroyForcibly);
    process.toHandle().destroyForcibly(); // Process.destroyForcibly would drop what is still in the pipe
    end(ledger);
    under.forEach(each -> each.onExit().join());
  }

  /** Waits for its end, listening. */
  void end(CrashLedger ledger) throws IOException, InterruptedException {
    Children.rest(process).forEach(ledger::heard);
    process.waitFor();
  }

  @Override
  public void close() {
    process.descendants().forEach(ProcessHandle::destroyForcibly);
    process.toHandle().destroyForcibly();
  }
}
