package io.kvcache.tiers;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Child JVMs that run a class of the tests. */
final class Children {
  private Children() {}

  /** Starts {@code main} with this JVM's class path; its errors go to ours. */
  static Process start(Class<?> main, String... arguments) throws IOException {
    return start(List.of(), main, arguments);
  }

  /** As {@link #start(Class, String...)}, under a command such as {@code strace}. */
  static Process start(List<String> under, Class<?> main, String... arguments) throws IOException {
    // RocksDB leaves its library, 17 MB, in the temporary directory of a process that is killed.
    Path temporary = Files.createTempDirectory("kvcache-child-");
    List<String> command = new ArrayList<>(under);
    command.addAll(List.of(
        Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-ea", "-Xmx256m",
        "-XX:+UseSerialGC", "-XX:-UsePerfData",
        "--enable-native-access=ALL-UNNAMED", "-XX:TieredStopAtLevel=1", "-Djava.io.tmpdir=" + temporary,
        "-cp", System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
        main.getName()));
    command.addAll(List.of(arguments));
    Process child = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
    child.onExit().thenRun(() -> delete(temporary));
    return child;
  }

  private static void delete(Path temporary) {
    try {
      Directories.delete(temporary);
    } catch (IOException e) {
      throw new UncheckedIOException(e); // ends up nowhere: a directory too many is no failure
    }
  }

  /** The next line that a child prints; null when it has ended. Reads no further than that. */
  static String line(Process child) throws IOException {
    StringBuilder line = new StringBuilder();
    for (int c = child.getInputStream().read(); c >= 0; c = child.getInputStream().read()) {
      if (c == '\n') {
        return line.toString();
      }
      line.append((char) c);
    }
    return null;
  }

  /** What is left of a child's output; a last line without an end is not one. */
  static List<String> rest(Process child) throws IOException {
    String text = new String(child.getInputStream().readAllBytes(), StandardCharsets.US_ASCII);
    return text.substring(0, text.lastIndexOf('\n') + 1).lines().toList();
  }
}
