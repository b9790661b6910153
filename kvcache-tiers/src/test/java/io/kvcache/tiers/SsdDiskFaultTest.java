package io.kvcache.tiers;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.testkit.LeakCheck;
import io.kvcache.testkit.Payloads;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Goal: a disk that fails or is slow costs no acknowledged write, no right answer to a read, and half a minute at most
 * once it is sound again. Method: a child JVM uses a tier while its system calls are made to fail; what it says of each
 * call is compared with what its directory holds afterwards.
 */
@Timeout(180)
final class SsdDiskFaultTest {
  private static final long ABSENT = -1;
  private static final long FENCED_WITHIN_NANOS = 1_000_000_000L;
  private static final long HEALED_WITHIN_NANOS = 30_000_000_000L;

  @TempDir
  Path directory;

  private Process child;
  private Thread listener;

  /** What each entry may be: the outcome of the last acknowledged call, or of any begun since. */
  private final Map<Integer, Set<Long>> possible = new HashMap<>();

  private final List<Line> lines = new ArrayList<>();

  /** What the child said, and when. */
  private record Line(long atNanos, String text) {
    boolean is(String outcome, String call) {
      String[] words = text.split(" ");
      return words[0].equals(outcome) && (words.length < 3 || words[2].equals(call));
    }

    long millis() {
      String[] words = text.split(" ");
      return Long.parseLong(words[0].equals("read") || words[0].equals("unreadable") ? words[2] : words[1]);
    }
  }

  @BeforeEach
  void possible() {
    Injection.assumePossible();
    for (int number = SsdFaultChild.KEPT; number < SsdFaultChild.IDS; number++) {
      possible.put(number, new HashSet<>(Set.of(ABSENT)));
    }
  }

  @AfterEach
  void end() throws InterruptedException {
    if (child != null) {
      child.toHandle().destroyForcibly();
      child.waitFor();
      listener.join();
    }
  }

  private void start(long firstPauseMillis, long longestPauseMillis) throws IOException {
    child =
        Children.start(SsdFaultChild.class, directory.toString(), Long.toString(Long.getLong("test.seed", 1)),
            Long.toString(firstPauseMillis), Long.toString(longestPauseMillis));
    BufferedReader said =
        new BufferedReader(new InputStreamReader(child.getInputStream(), StandardCharsets.US_ASCII));
    assertEquals("ready", said.readLine());
    listener = Thread.ofPlatform().daemon().start(() -> said.lines().forEach(this::heard));
  }

  private void heard(String text) {
    synchronized (lines) {
      lines.add(new Line(System.nanoTime(), text));
      String[] words = text.split(" ");
      if (words[0].equals("try") && words.length > 2) {
        possible.get(Integer.valueOf(words[2])).add(outcome(words, 1));
      } else if (words[0].equals("done") && words.length > 3) {
        possible.put(Integer.valueOf(words[3]), new HashSet<>(Set.of(outcome(words, 2))));
      }
    }
  }

  private static long outcome(String[] words, int call) {
    return words[call].equals("store") ? Long.parseLong(words[call + 2]) : ABSENT;
  }

  private List<Line> since(long nanos, Predicate<Line> wanted) {
    synchronized (lines) {
      return lines.stream().filter(line -> line.atNanos - nanos >= 0).filter(wanted).toList();
    }
  }

  private Line await(long since, Predicate<Line> wanted, String what) {
    LeakCheck.await("never " + what, () -> !since(since, wanted).isEmpty());
    return since(since, wanted).getFirst();
  }

  private void awaitMany(long since, int count, Predicate<Line> wanted, String what) {
    LeakCheck.await("too seldom " + what, () -> since(since, wanted).size() >= count);
  }

  /** Has the child close its tier, opens it here and compares. */
  private void verify() throws Exception {
    child.getOutputStream().close();
    assertEquals(0, child.waitFor());
    listener.join();
    assertEquals("closed", lines.getLast().text);
    assertEquals(List.of(), since(lines.getFirst().atNanos, line -> line.text.startsWith("wrong")));
    try (SsdTier tier = SsdTier.builder(directory, SsdFaultChild.CAPACITY).open();
        Arena arena = Arena.ofConfined()) {
      assertFalse(tier.stats().indexReplaced());
      assertEquals(0, tier.stats().damagedRecords() + tier.stats().misplacedEntries());
      MemorySegment target = Entries.target(arena, SsdFaultChild.PARTS[1]);
      for (int number = 0; number < SsdFaultChild.IDS; number++) {
        Set<Long> expected = possible.getOrDefault(number, Set.of(1L));
        for (int part = 0; part < SsdFaultChild.PARTS.length; part++) {
          long found = Entries.version(tier, Payloads.entry(number), part, target);
          assertTrue(expected.contains(found),
              "entry " + number + " is " + found + ", not one of " + expected);
        }
      }
    }
  }

  /** What a fault on writing must look like from outside, from when it begins until it is gone and healed. */
  private void writesFailAndHeal(String calls) throws Exception {
    await(0, line -> line.is("done", "store"), "stored");
    long begun = System.nanoTime();
    long failed;
    try (Injection fault = Injection.into(child, calls, "error=EIO", null)) {
      failed = await(begun, line -> line.is("failed", "store") || line.is("failed", "flush")
          || line.is("failed", "remove"), "failed").atNanos;
      Line refused = await(failed, line -> line.is("full", "store"), "refused");
      assertTrue(refused.atNanos - failed < FENCED_WITHIN_NANOS,
          "took " + (refused.atNanos - failed) + " ns");
      // So long that an attempt to heal has failed, and the next one has not.
      await(failed + 1_500_000_000L, line -> line.is("full", "store"), "refused for long");
      awaitMany(failed, 100, line -> line.text.startsWith("read "), "read");
      assertEquals(List.of(), since(failed, line -> line.text.startsWith("done ")), "acknowledged");
      assertTrue(
          since(failed, line -> line.is("full", "store")).stream().allMatch(line -> line.millis() < 100),
          "a refusal took long");
      assertTrue(fault.holds());
    }
    long lifted = System.nanoTime();
    long healed = await(lifted, line -> line.is("done", "store"), "healed").atNanos;
    assertTrue(healed - lifted < HEALED_WITHIN_NANOS, "took " + (healed - lifted) + " ns");
    awaitMany(healed, 20, line -> line.is("done", "store"), "stored");
    assertEquals(List.of(), since(begun, line -> line.text.startsWith("unreadable ")), "reads go on");
    System.out.printf("EIO on %s: failed for %d ms, healed %d ms after it was over%n", calls,
        (lifted - failed) / 1_000_000, (healed - lifted) / 1_000_000);
    verify();
  }

  @Test
  void everySyncFails() throws Exception {
    start(1000, 8000);
    writesFailAndHeal("fsync,fdatasync");
  }

  /** Goal: the test above would notice a tier that stays as it is. */
  @Test
  @Tag("long")
  void withoutHealingItStaysDead() throws Exception {
    start(1_000_000, 1_000_000);
    try (Injection fault = Injection.into(child, "fsync,fdatasync", "error=EIO", null)) {
      await(0, line -> line.is("full", "store"), "refused");
      assertTrue(fault.holds());
    }
    long lifted = System.nanoTime();
    awaitMany(lifted, 3000, line -> line.is("full", "store"), "refused");
    assertEquals(List.of(), since(lifted, line -> line.is("done", "store")));
    verify();
  }

  @Test
  @Tag("long")
  void oneSyncFails() throws Exception {
    start(1000, 8000);
    healsThough("fdatasync", "error=EIO:when=1", null);
  }

  private void healsThough(String calls, String fault, Path path) throws Exception {
    long begun = System.nanoTime();
    try (Injection injection = Injection.into(child, calls, fault, path)) {
      long failed = await(begun, line -> line.text.startsWith("failed "), "failed").atNanos;
      Line healed = await(failed, line -> line.is("done", "store"), "healed");
      assertTrue(healed.atNanos - failed < HEALED_WITHIN_NANOS, "took " + (healed.atNanos - failed) + " ns");
      assertTrue(injection.holds());
    }
    assertEquals(List.of(), since(begun, line -> line.text.startsWith("unreadable ")), "reads go on");
    verify();
  }

  /** Goal: what cannot be appended to one log is written to the next, which opening again begins. */
  @Test
  @Tag("long")
  void logCannotBeWritten() throws Exception {
    start(1000, 8000);
    Path log = Directories.files(directory.resolve("index")).stream()
        .filter(file -> file.toString().endsWith(".log")).max(Path::compareTo).orElseThrow();
    healsThough("write", "error=EIO", log);
  }

  /** Goal: a write that fails is over, and nothing else: the pages it was for were nobody's. */
  @Test
  @Tag("long")
  void extentsCannotBeWritten() throws Exception {
    start(1000, 8000);
    long begun = System.nanoTime();
    try (Injection fault = Injection.into(child, "pwrite64", "error=EIO", null)) {
      awaitMany(begun, 20, line -> line.is("failed", "store"), "failed");
      long failed = since(begun, line -> line.is("failed", "store")).getFirst().atNanos;
      assertEquals(List.of(), since(failed, line -> line.is("done", "store")));
      awaitMany(failed, 5, line -> line.is("done", "remove"), "removed");
      awaitMany(failed, 100, line -> line.text.startsWith("read "), "read");
      assertTrue(fault.holds());
    }
    long lifted = System.nanoTime();
    Line healed = await(lifted, line -> line.is("done", "store"), "healed");
    assertTrue(healed.atNanos - lifted < HEALED_WITHIN_NANOS);
    assertEquals(List.of(), since(begun, line -> line.text.startsWith("unreadable ")));
    verify();
  }

  @Test
  void readsFail() throws Exception {
    start(1000, 8000);
    long begun = System.nanoTime();
    try (
        Injection fault = Injection.into(child, "pread64", "error=EIO", directory.resolve("extents-00000"))) {
      awaitMany(begun, 20, line -> line.text.startsWith("unreadable "), "unreadable");
      awaitMany(begun, 5, line -> line.is("done", "store"), "stored");
      assertTrue(fault.holds());
    }
    long lifted = System.nanoTime();
    awaitMany(lifted, 30, line -> line.text.startsWith("read "), "read");
    assertTrue(since(lifted, line -> line.text.startsWith("read ")).getFirst().atNanos - lifted
        < FENCED_WITHIN_NANOS);
    verify();
  }

  /** Goal: a sync of half a second holds up who waits for it, and nobody else. */
  @Test
  void slowSyncsHoldUpNoReads() throws Exception {
    start(1000, 8000);
    long begun = System.nanoTime();
    try (Injection slow = Injection.into(child, "fdatasync", "delay_enter=500000", null)) {
      Line stored = await(begun, line -> line.is("done", "store") && line.millis() >= 500, "slow");
      awaitMany(stored.atNanos, 2, line -> line.is("done", "store"), "stored");
      List<Line> reads = since(begun, line -> line.text.startsWith("read "));
      assertTrue(reads.size() > 50, "only " + reads.size() + " reads");
      long slow100 = reads.stream().filter(line -> line.millis() >= 100).count();
      assertTrue(slow100 <= reads.size() / 20, slow100 + " of " + reads.size() + " reads waited");
      assertTrue(slow.holds());
    }
    assertEquals(List.of(), since(begun, line -> line.text.startsWith("failed ")));
    verify();
  }
}
