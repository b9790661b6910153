package io.kvcache.bench.limits;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LimitsReportTest {
  @TempDir
  private Path directory;

  private final LimitsReport report = new LimitsReport();

  private record FixedProbe(String family, String variant) implements Probe {
    @Override
    public long pass() {
      return 1;
    }
  }

  private record FixedPath(String family, String limit) implements PathProbe {
    @Override
    public long pass() {
      return 1;
    }
  }

  @Test
  void pathIsJudgedByTheBestOfItsLimit() throws IOException {
    report.add(new FixedProbe("disk read", "1 MiB x 1"), 1.5);
    report.add(new FixedProbe("disk read", "1 MiB x 2"), 2.0);
    report.add(new FixedProbe("disk read", "1 MiB x 4"), 1.0);
    report.add(new FixedPath("ssd read", "disk read"), 1.5);

    File file = directory.resolve("limits.json").toFile();
    report.writeJson(file);
    JsonNode json = new ObjectMapper().readTree(file);

    assertEquals("disk read", json.at("/limits/0/name").asText());
    assertEquals(2.0, json.at("/limits/0/GBps").asDouble());
    assertEquals(4, json.at("/limits").size());
    assertEquals("ssd read", json.at("/paths/0/name").asText());
    assertEquals(1.5, json.at("/paths/0/GBps").asDouble());
    assertEquals("disk read", json.at("/paths/0/limit").asText());
    assertEquals(0.75, json.at("/paths/0/fractionOfLimit").asDouble());
  }

  @Test
  void tableShowsTheFraction() {
    report.add(new FixedProbe("copy", ""), 8);
    report.add(new FixedPath("dram store", "copy"), 4);
    StringWriter out = new StringWriter();
    report.print(new PrintWriter(out));
    assertTrue(out.toString().lines().anyMatch(line -> line.matches("dram store +4\\.00 +copy +50%")),
        out::toString);
  }

  @Test
  void pathWithoutItsLimitIsOurMistake() {
    report.add(new FixedPath("dram store", "copy"), 4);
    assertThrows(IllegalStateException.class, () -> report.print(new PrintWriter(new StringWriter())));
  }
}
