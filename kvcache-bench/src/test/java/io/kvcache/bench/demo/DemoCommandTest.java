package io.kvcache.bench.demo;

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
      assertTrue(phase.get("ttftMillisMedian").asDouble() > 0, phase::toString);
    }
    assertEquals(List.of("cold", "warm", "restarted"), phases);
    assertEquals(0, result.get("phases").get(0).get("tokensLoaded").asInt());
    JsonNode warm = result.get("phases").get(1);
    assertTrue(warm.get("bytesLoadedByTier").get("dram").asLong() > 0, "DRAM holds a third");
    assertTrue(warm.get("bytesLoadedByTier").get("ssd").asLong() > 0, "and no more");
    JsonNode restarted = result.get("phases").get(2);
    assertTrue(restarted.get("bytesLoadedByTier").get("ssd").asLong() > 0, restarted::toString);
    assertEquals(warm.get("tokensLoaded").asInt(), restarted.get("tokensLoaded").asInt());
    for (JsonNode context : result.get("contexts")) {
      assertTrue(context.get("rate").asDouble() > 0, context::toString);
      assertTrue(List.of("raw", "lz4").contains(context.get("method").asText()), context::toString);
      assertTrue(List.of("dram", "ssd").contains(context.get("tier").asText()), context::toString);
    }
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
        assertTrue(policy.get("ttftMillisMedian").asDouble() > 0, policy::toString);
        assertTrue(policy.get("ttftMillisMean").asDouble() > 0, policy::toString);
        assertTrue(policy.get("ttftMillisP90").asDouble() >= policy.get("ttftMillisMedian").asDouble(),
            policy::toString);
        assertTrue(policy.get("accuracy").asDouble() >= 0 && policy.get("accuracy").asDouble() <= 1,
            policy::toString);
        double hits = 0;
        for (JsonNode share : policy.get("hitTokenShareByTier")) {
          hits += share.asDouble();
        }
        assertTrue(hits >= 0 && hits <= 1, policy::toString);
        assertEquals(names.getLast().equals("no cache"), policy.get("hitTokenShareByTier").isEmpty());
      }
      assertEquals("no cache", names.getFirst(), list);
      assertTrue(names.containsAll(List.of("LRU raw", "LRU int4")), names::toString);
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
  @CsvSource({"--documents,0", "--questions,-1", "--seed,-5", "--dram,0", "--dram,1000T", "--codec,gzip",
    "--dram,many",
    "--requests,-1", "--alpha,NaN", "--throttle,warp"})
  void badOptionsAreClearErrors(String option, String value) {
    assertEquals(2, bench.run("demo", option, value), bench::err);
    assertTrue(bench.err().contains(value.replace("1000T", "1099511627776000")), bench::err);
  }

  @Test
  void aFileThatIsNoModelIsAClearError() throws IOException {
    Path file =
        Files.writeString(directory.resolve("model.bin"), "no model at all, but long enough for a header");
    assertEquals(1, bench.run("demo", "--model", file.toString()), bench::err);
    assertTrue(bench.err().contains("model.bin"), bench::err);
  }
}
