package io.kvcache.tiers;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.spi.EntryId;
import io.kvcache.testkit.Payloads;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Goal: a killed process loses nothing it acknowledged, brings nothing back and leaves no wrong bytes. Method: a
 * child JVM stores, removes and flushes and says what is done; it is killed at some point, its directory opened
 * here and compared, and used by the next child. The kernel keeps what a killed process had written, so this does
 * not test syncs, and stores count as kept even before a flush.
 */
final class SsdCrashTest {
  private static final int CYCLES = 10;
  private static final long ABSENT = -1;

  @TempDir
  Path directory;

  /** What each entry may be: the outcome of the last acknowledged call, or of one under way when killed. */
  private final Map<Integer, Set<Long>> possible = new HashMap<>();

  @Test
  void killedProcessLeavesWhatItAcknowledged() throws Exception {
    long seed = Long.getLong("test.seed", 1);
    int acknowledged = 0;
    for (int cycle = 0; cycle < CYCLES; cycle++) {
      String at = "seed=" + seed + " cycle=" + cycle;
      Process child = Children.start(SsdChild.class, "churn", directory.toString(),
          Long.toString(seed * 1000 + cycle), Long.toString(1 + cycle * 1_000_000L));
      assertEquals("ready", Children.line(child), at);
      for (int line = 0; line < 40 + 23 * cycle; line++) {
        acknowledged += follow(Children.line(child));
      }
      child.toHandle().destroyForcibly(); // Process.destroyForcibly would drop what is still in the pipe
      for (String line : Children.rest(child)) {
        acknowledged += follow(line);
      }
      child.waitFor();
      verify(at);
    }
    assertTrue(acknowledged > 40 * CYCLES, "only " + acknowledged + " calls were acknowledged");
  }

  private int follow(String line) {
    String[] words = line.split(" ");
    switch (words[0]) {
      case "storing" -> outcomes(words[1]).add(Long.parseLong(words[2]));
      case "removing" -> outcomes(words[1]).add(ABSENT);
      case "stored" ->
          possible.put(Integer.valueOf(words[1]), new HashSet<>(Set.of(Long.parseLong(words[2]))));
      case "removed" -> possible.put(Integer.valueOf(words[1]), new HashSet<>(Set.of(ABSENT)));
      default -> assertEquals("flushed", line);
    }
    return words[0].endsWith("ed") ? 1 : 0;
  }

  private Set<Long> outcomes(String number) {
    return possible.computeIfAbsent(Integer.valueOf(number), key -> new HashSet<>(Set.of(ABSENT)));
  }

  private void verify(String at) throws IOException {
    try (SsdTier tier = SsdTier.builder(directory, SsdChild.CAPACITY).open();
        Arena arena = Arena.ofConfined()) {
      assertFalse(tier.stats().indexReplaced(), at);
      assertEquals(0, tier.stats().damagedRecords() + tier.stats().misplacedEntries(), at);
      MemorySegment target = Entries.target(arena, 300_000);
      for (int number = 0; number < SsdChild.IDS; number++) {
        EntryId id = Payloads.entry(number);
        long first = Entries.version(tier, id, 0, target);
        assertEquals(first, Entries.version(tier, id, 1, target),
            at + ": parts of different versions in " + id);
        Set<Long> expected = outcomes(Integer.toString(number));
        assertTrue(expected.contains(first), at + ": " + id + " is " + first + ", not one of " + expected);
        possible.put(number, new HashSet<>(List.of(first)));
      }
    }
  }
}
