package io.kvcache.bench.local;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.bench.Invocation;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class LocalCommandsTest {
  private final Invocation bench = new Invocation();

  /** Goal: the heap a chunk takes keeps to its bound; of 100,000 chunks what does not depend on them is a tenth. */
  @Test
  void indexMemory() {
    assertEquals(0, bench.run("index-memory", "--chunks", "100000", "--seconds", "1"), bench::err);
    Matcher line = Pattern.compile("(\\d+) chunks in 1000 contexts, placement LRU: ([0-9.]+) bytes")
        .matcher(bench.out());
    assertTrue(line.find(), bench::out);
    assertEquals(100_000, Integer.parseInt(line.group(1)));
    double bytes = Double.parseDouble(line.group(2));
    assertTrue(bytes > 40 && bytes < 96 + 150, bytes + " bytes of heap a chunk");
    assertTrue(
        Pattern.compile("under load: \\d+ look-ups \\(\\d+ % found\\) and \\d+ stores").matcher(bench.out())
            .find(),
        bench::out);
  }

  @Test
  void lookupLoad() {
    assertEquals(0, bench.run("lookup-load", "--tokens", "4096", "--threads", "2", "--seconds", "1"),
        bench::err);
    assertTrue(Pattern.compile("p50 [0-9.]+, p90 [0-9.]+, p99 [0-9.]+").matcher(bench.out()).find(),
        bench::out);
  }

  @ParameterizedTest
  @CsvSource({
    "index-memory, --chunks, 0, '--chunks is 0, must be 1 to '",
    "index-memory, --context-chunks, 0, '--context-chunks is 0, must be 1 to 4096'",
    "index-memory, --seconds, -1, '--seconds is -1, must be 0 to 3600'",
    "index-memory, --policy, best, 'expected one of [LRU, UTILITY]'",
    "lookup-load, --threads, 0, '--threads is 0, must be 1 to 1024'",
    "lookup-load, --every, 0, '--every is 0, must be 1 to 10000000'",
    "lookup-load, --tokens, 1, '--tokens is 1, must be 256 to 1048576'",
    "ssd, --rounds, 0, '--rounds is 0, must be 1 to 100'",
    "ssd, --bytes, 1MiB, '--bytes is 1048576, must be 536870912 to '",
    "ssd, --dir, /nowhere, '--dir /nowhere is not a writable directory'"
  })
  void badOptionsAreNamed(String command, String option, String value, String complaint) {
    assertEquals(2, bench.run(command, option, value));
    assertTrue(bench.err().contains(complaint), bench::err);
  }
}
