package io.kvcache.bench.limits;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.kvcache.bench.Invocation;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class LimitsCommandTest {
  private final Invocation bench = new Invocation();
  private Path directory;

  /** Beside the classes and not where temporary files go, since that may be memory. */
  @BeforeEach
  void createDirectory() throws IOException {
    directory = Files.createTempDirectory(Path.of("target").toAbsolutePath(), "limits");
  }

  @AfterEach
  void nothingIsLeftBehind() throws IOException {
    try (Stream<Path> files = Files.list(directory)) {
      assertEquals(List.of(), files.toList());
    }
    Files.delete(directory);
  }

  @Test
  void measuresEverythingAndWritesJson() throws IOException {
    Path json = directory.resolve("limits.json");
    int exit = bench.run("limits", "--memory", "1MiB", "--bytes", "1MiB", "--rounds", "1",
        "--dir", directory.toString(), "--json", json.toString());
    assertEquals(0, exit, bench::err);

    JsonNode tree = new ObjectMapper().readTree(json.toFile());
    Files.delete(json);
    List<String> names = new ArrayList<>();
    for (JsonNode limit : tree.get("limits")) {
      names.add(limit.get("name").asText());
      assertTrue(limit.get("GBps").asDouble() > 0, limit::toString);
      assertTrue(bench.out().contains(limit.get("name").asText()), bench::out);
    }
    assertTrue(
        names.containsAll(List.of("copy", "block copy", "crc32c", "disk read", "disk write", "loopback")),
        names::toString);
    for (JsonNode path : tree.get("paths")) {
      assertTrue(path.get("fractionOfLimit").asDouble() > 0, path::toString);
      assertTrue(names.contains(path.get("limit").asText()), path::toString);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "--rounds, 0, '--rounds is 0, must be 1 to 100'",
    "--rounds, 101, '--rounds is 101, must be 1 to 100'",
    "--rounds, many, '''many'' is not an int'",
    "--memory, 1, '--memory is 1, must be 1048576 to '",
    "--memory, 1000T, '--memory is 1099511627776000, must be 1048576 to '",
    "--bytes, 1000T, '--bytes is 1099511627776000, must be 1048576 to '",
    "--bytes, 12x, '''12x'' is not a size'",
    "--dir, no-such-directory, '--dir no-such-directory is not a writable directory'",
    "--json, no-such-directory/a.json, '--json no-such-directory/a.json cannot be written'",
    "--frobnicate, 1, 'Unknown option'"})
  void wrongValueIsNamedWithItsLimit(String option, String value, String message) {
    assertEquals(2, bench.run("limits", option, value));
    assertTrue(bench.err().contains(message), bench::err);
    assertTrue(bench.err().contains("Try 'kvcache-bench limits --help'."), bench::err);
    assertEquals("", bench.out());
  }
}
