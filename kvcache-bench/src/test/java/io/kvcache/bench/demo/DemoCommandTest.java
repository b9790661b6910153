package io.kvcache.bench.demo;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.kvcache.bench.Invocation;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class DemoCommandTest {
  private static final int DOCUMENTS = 6;

  private final Invocation bench = new Invocation();

  @TempDir
  private Path directory;

  @Test
  void answersColdWarmAndAfterARestart() throws IOException {
    JsonNode result = demo("--documents", String.valueOf(DOCUMENTS), "--questions", "1", "--requests", "0");
    List<String> phases = new ArrayList<>();
    for (JsonNode phase : result.get("phases")) {
      phases.add(phase.get("name").asText());
      assertEquals(DOCUMENTS, phase.get("answersAsCold").asInt(), phase::toString);
      assertTrue(phase.get("accuracy").asDouble() > 0.5, phase::toString);
    }
    assertEquals(List.of("cold", "warm", "restarted"), phases);
    assertEquals(0, result.get("phases").get(0).get("tokensLoaded").asInt());
    JsonNode warm = result.get("phases").get(1);
    assertTrue(warm.get("bytesLoadedByTier").get("dram").asLong() > 0, "DRAM holds a third");
    assertTrue(warm.get("bytesLoadedByTier").get("ssd").asLong() > 0, "and no more");
    JsonNode restarted = result.get("phases").get(2);
    assertTrue(restarted.get("bytesLoadedByTier").get("ssd").asLong() > 0, restarted::toString);
    assertEquals(warm.get("tokensLoaded").asInt(), restarted.get("tokensLoaded").asInt());
    Set<Integer> documents = new HashSet<>();
    for (JsonNode residence : result.get("residences")) {
      documents.add(residence.get("document").asInt());
      boolean dram = residence.get("tier").asText().equals("dram");
      assertEquals(dram ? "dram raw" : "ssd lz4",
          residence.get("tier").asText() + " " + residence.get("method").asText());
      double rate = residence.get("rate").asDouble();
      assertTrue(dram ? rate >= 1 && rate < 1.25 : rate > 0 && rate < 1, residence::toString);
    }
    assertEquals(DOCUMENTS, documents.size(), "all are somewhere");
    assertNull(result.get("contexts"), "no policy put anything anywhere");
  }

  @Test
  void policiesAreComparedWherePlacementHasToChoose() throws IOException {
    JsonNode result =
        demo("--documents", "4", "--questions", "1", "--requests", "6", "--throttle", "400,100");
    assertEquals("DRAM held to 400 MB/s, SSD to 100 MB/s", result.get("throttle").asText());
    for (String list : List.of("policies", "policiesUnthrottled")) {
      List<String> names = new ArrayList<>();
      for (JsonNode policy : result.get(list)) {
        names.add(policy.get("name").asText());
        if (names.getLast().startsWith("LRU")) {
          assertEquals(0, policy.get("rejected").asInt(), policy::toString);
        }
        assertTrue(policy.get("ttftMillisP90").asDouble() >= policy.get("ttftMillisMedian").asDouble(),
            policy::toString);
        double hits = 0;
        for (JsonNode share : policy.get("hitTokenShareByTier")) {
          hits += share.asDouble();
        }
        assertTrue(hits <= 1 + 1e-9, policy::toString);
        assertEquals(names.getLast().equals("no cache"), policy.get("hitTokenShareByTier").isEmpty());
      }
      assertEquals(List.of("no cache", "LRU raw"), names.subList(0, 2), list);
      assertTrue(names.contains("LRU int4"), names::toString);
      double computed = result.get(list).get(0).get("accuracy").asDouble();
      assertTrue(computed > 0.5, "the model can do it: " + computed);
      assertEquals(computed, result.get(list).get(1).get("accuracy").asDouble(), "raw KV changes no answer");
      assertTrue(names.getLast().startsWith("utility"), names::toString);
    }
    int stored = 0;
    for (JsonNode context : result.get("contexts")) {
      boolean there = !context.get("tier").asText().equals("none");
      stored += there ? 1 : 0;
      assertEquals(there, context.get("rate").asDouble() > 0, context::toString);
      assertEquals(there, !context.get("method").asText().equals("none"), context::toString);
      assertTrue(Double.isFinite(context.get("utility").asDouble()), context::toString);
      assertTrue(context.get("utility").asDouble() <= 5 * context.get("frequency").asDouble() + 1e-9,
          "never more than alpha for each use: " + context);
    }
    assertTrue(stored > 0, () -> result.get("contexts").toString());
  }

  @Test
  void lossyCodecsAreUsedWhenAskedFor() throws IOException {
    JsonNode result = demo("--documents", "3", "--questions", "1", "--codec", "int4", "--requests", "0");
    JsonNode loads = result.get("phases").get(2).get("loads").get(0);
    assertEquals("ssd", loads.get("tier").asText());
    assertEquals("int4", loads.get("codec").asText());
  }

  /** The restarted process must find what was stored, however the directory was named. */
  @Test
  void aChosenDirectoryIsKeptAndFoundAfterTheRestart() throws IOException {
    Path chosen = directory.resolve("chosen");
    JsonNode result = demo("--documents", "2", "--questions", "1", "--requests", "0", "--dir=" + chosen);
    assertTrue(result.get("phases").get(2).get("tokensLoaded").asInt() > 0, result::toString);
    assertTrue(Files.isDirectory(chosen), "it is the user's");
  }

  private JsonNode demo(String... options) throws IOException {
    Path json = directory.resolve("demo.json");
    List<String> line = new ArrayList<>(List.of("demo"));
    line.addAll(List.of(options));
    line.addAll(List.of("--json", json.toString()));
    int exit = bench.run(line.toArray(String[]::new));
    assertEquals(0, exit, bench::err);
    return new ObjectMapper().readTree(json.toFile());
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', value = {
    "--documents | 0     | --documents is 0, must be 1 to 10000",
    "--questions | -1    | --questions is -1, must be 1 to 100",
    "--seed      | -5    | --seed is -5, must be 0 to 2147483647",
    "--dram      | 0     | --dram is 0, must be ",
    "--dram      | 1000T | --dram is 1099511627776000, must be ",
    "--dram      | many  | 'many' is not a size",
    "--codec     | gzip  | 'gzip'",
    "--requests  | -1    | --requests is -1, must be 0 to 100000",
    "--alpha     | NaN   | --alpha is NaN, must be 0.0 to 1000000.0",
    "--throttle  | warp  | --throttle: 'warp' is not off"})
  void badOptionsAreClearErrors(String option, String value, String message) {
    assertEquals(2, bench.run("demo", option, value), bench::err);
    assertTrue(bench.err().contains(message), bench::err);
  }

  @Test
  void aFileThatIsNoModelIsAClearError() throws IOException {
    Path file =
        Files.writeString(directory.resolve("model.bin"), "no model at all, but long enough for a header");
    assertEquals(1, bench.run("demo", "--model", file.toString()), bench::err);
    assertTrue(bench.err().contains("model.bin"), bench::err);
  }
}
