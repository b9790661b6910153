package io.kvcache.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Nothing is left, however the process ends that used it. */
class TemporaryDirectoryTest {
  @TempDir
  private Path parent;

  private static void fill(Path path) throws IOException {
    Path nested = Files.createDirectories(path.resolve("a").resolve("b"));
    Files.writeString(nested.resolve("file"), "1");
    Files.writeString(path.resolve("file"), "2");
  }

  private List<Path> left() throws IOException {
    try (Stream<Path> all = Files.list(parent)) {
      return all.toList();
    }
  }

  @Test
  void isGoneWhenClosed() throws IOException {
    Path path;
    try (TemporaryDirectory directory = new TemporaryDirectory(parent, "test-")) {
      path = directory.path();
      fill(path);
      assertTrue(path.getFileName().toString().startsWith("test-"), path::toString);
      assertEquals(List.of(path), left());
    }
    assertFalse(Files.exists(path));
  }

  /** Uses a directory for ever. */
  static final class User {
    private User() {}

    public static void main(String[] args) throws IOException {
      TemporaryDirectory directory = new TemporaryDirectory(Path.of(args[0]), "test-");
      fill(directory.path());
      System.out.println("filled");
      while (System.in.read() >= 0) {
        continue;
      }
    }
  }

  @Test
  void isGoneWhenTheProcessIsInterrupted() throws IOException, InterruptedException {
    Process process = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
        "-classpath", System.getProperty("java.class.path"), User.class.getName(), parent.toString())
        .redirectError(ProcessBuilder.Redirect.INHERIT).start();
    try {
      assertEquals("filled", process.inputReader().readLine());
      assertEquals(1, left().size());
      process.destroy();
      assertTrue(process.waitFor(1, TimeUnit.MINUTES));
      assertEquals(List.of(), left());
    } finally {
      process.destroyForcibly();
    }
  }
}
