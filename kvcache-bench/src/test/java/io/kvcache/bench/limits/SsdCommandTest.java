package io.kvcache.bench.limits;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The parts of {@code ssd}, over few bytes and without fio, which need not be there. */
class SsdCommandTest {
  private static final long MIB = 1 << 20;

  @TempDir
  Path directory;

  @Test
  void entriesMakeRoomForEachOther() throws IOException {
    try (SsdEntries entries = new SsdEntries(directory.resolve("tier"), 32 * MIB, 2, MIB)) {
      assertEquals(96 * MIB, entries.store(96 * MIB, 2));
      long read = entries.read(2);
      assertTrue(read >= 20 * MIB && read <= 32 * MIB, read + " bytes left");
    }
  }

  @Test
  void contextIsStoredAndRead() throws IOException {
    try (FirstGroup context = new FirstGroup(directory.resolve("context"), 64 * MIB)) {
      assertEquals(64 * MIB, context.bytes());
      assertEquals(2 * MIB, context.layerBytes());
      assertTrue(context.secondsTo(1) > 0);
      assertTrue(context.secondsToAll() > 0);
    }
  }

  @Test
  void blobValues() throws IOException {
    Path blobs = Files.createDirectory(directory.resolve("blobs"));
    try (BlobValues values = new BlobValues(blobs, (int) MIB, false, 0)) {
      assertEquals(8 * MIB, values.store(8 * MIB));
    }
    try (BlobValues values = new BlobValues(blobs, (int) MIB, true, 8)) {
      assertEquals(8 * MIB, values.read());
    }
  }

  @Test
  void deviceBytesAreThoseWritten() throws IOException {
    DeviceBytes before = DeviceBytes.now();
    try (SsdEntries entries = new SsdEntries(directory.resolve("tier"), 32 * MIB, 4, MIB)) {
      entries.store(16 * MIB, 1);
    }
    long written = DeviceBytes.now().since(before).written();
    assertTrue(before.written() == 0 || written >= 16 * MIB, written + " bytes written");
  }

  @Test
  void reportGivesMediansOfRatios() throws IOException {
    SsdReport report = new SsdReport();
    report.add("read", 1, "fio", 2);
    report.add("read", 3, "fio", 3);
    report.add("read", 2, "fio", 2.5);
    report.share("amplification", 1.01);
    StringWriter text = new StringWriter();
    report.print(new PrintWriter(text));
    assertTrue(text.toString().contains("0.80"), text.toString());
    assertTrue(text.toString().contains("amplification: 1.010"), text.toString());
    Path json = directory.resolve("ssd.json");
    report.writeJson(json.toFile());
    JsonNode comparison = new ObjectMapper().readTree(json.toFile()).get("comparisons").get(0);
    assertEquals(0.8, comparison.get("medianRatio").asDouble(), 1e-9);
    assertEquals(3, comparison.get("best").asDouble());
  }
}
