package io.kvcache.bench.demo;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine;

/** Runs the rest of the demo in a new process, which has nothing but what is on disk. */
final class Restart {
  private final CommandLine command;
  private final Path directory;

  Restart(CommandLine command, Path directory) {
    this.command = command;
    this.directory = directory;
  }

  PhaseResult run() throws IOException {
    File result = File.createTempFile("kvcache-demo-", ".json");
    try {
      Process process = new ProcessBuilder(commandLine(result)).inheritIO().start();
      int code = waitFor(process);
      if (code != 0) {
        throw new IOException("the restarted process ended with exit code " + code);
      }
      return new ObjectMapper().readValue(result, PhaseResult.class);
    } finally {
      Files.deleteIfExists(result.toPath());
    }
  }

  private static int waitFor(Process process) throws IOException {
    try {
      return process.waitFor();
    } catch (InterruptedException e) {
      process.destroy();
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while the restarted process ran", e);
    }
  }

  /** This process's own command line, with the directory and the hidden option in front of what it was given. */
  private List<String> commandLine(File result) {
    List<String> line = new ArrayList<>();
    line.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    line.addAll(ManagementFactory.getRuntimeMXBean().getInputArguments());
    line.addAll(List.of("-classpath", System.getProperty("java.class.path"), "io.kvcache.bench.Main", "demo",
        "--restarted", result.getPath()));
    List<String> all = command.getParseResult().originalArgs();
    List<String> given = all.subList(all.indexOf(command.getCommandName()) + 1, all.size());
    if (!command.getParseResult().hasMatchedOption("--dir")) {
      line.addAll(List.of("--dir", directory.toString()));
    }
    line.addAll(given);
    return line;
  }
}
