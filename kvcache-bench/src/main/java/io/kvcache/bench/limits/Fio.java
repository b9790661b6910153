package io.kvcache.bench.limits;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * The disk as {@code fio} sees it: direct I/O of whole blocks in the order of a file that is written first, some of
 * them in flight.
 */
final class Fio {
  private static final long MOST_SECONDS = 120;
  private static final int SECONDS_A_PASS = 4;

  private final Path file;
  private final long bytes;

  /** What is done with the file. */
  enum Operation {
    READ, WRITE;

    private String option() {
      return this == READ ? "read" : "write";
    }
  }

  /**
   * Writes the file.
   *
   * @throws IOException when there is no {@code fio}
   */
  Fio(Path directory, long bytes) throws IOException {
    this.file = directory.resolve("fio");
    this.bytes = bytes;
    run(Operation.WRITE, 4 << 20, 2, List.of());
  }

  /** Gigabytes (10⁹ bytes) a second of some seconds. */
  double gigabytesPerSecond(Operation operation, long block, int depth) throws IOException {
    return run(operation, block, depth, List.of("--time_based", "--runtime=" + SECONDS_A_PASS));
  }

  private double run(Operation operation, long block, int depth, List<String> more) throws IOException {
    ProcessBuilder command =
        new ProcessBuilder("fio", "--name=limit", "--filename=" + file, "--size=" + bytes,
            "--rw=" + operation.option(), "--bs=" + block, "--iodepth=" + depth, "--direct=1",
            "--ioengine=libaio",
            "--end_fsync=1", "--output-format=json");
    command.command().addAll(more);
    Process process = start(command);
    try {
      JsonNode job = new ObjectMapper().readTree(process.getInputStream()).path("jobs").path(0);
      if (!process.waitFor(MOST_SECONDS, TimeUnit.SECONDS) || process.exitValue() != 0) {
        throw new IOException(String.join(" ", command.command()) + " failed");
      }
      return job.path(operation.option()).path("bw_bytes").asDouble() / 1e9;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted", e);
    } finally {
      process.destroyForcibly();
    }
  }

  private static Process start(ProcessBuilder command) throws IOException {
    try {
      return command.redirectError(ProcessBuilder.Redirect.DISCARD).start();
    } catch (IOException e) {
      throw new IOException("cannot run fio, which Debian has in a package of that name", e);
    }
  }
}
