package io.kvcache.tiers;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Goal: as {@link CacheCrashTest}, for the moments that matter most: just before something becomes durable, takes
 * its name or is cut. Method: a fixed workload, all of whose own calls are made by one thread, is traced once; then
 * it is killed at each of those calls in turn. RocksDB writes tables on threads of its own, and calls are counted
 * thread by thread: a kill at the Nth is one in the thread that gets there first.
 */
final class SyncPointTest {
  private static final List<String> CALLS = List.of("fdatasync", "fsync", "rename", "ftruncate");
  private static final Pattern CALL = Pattern.compile("(\\d+) +(\\w+)\\(.*");

  @TempDir
  Path scratch;

  private final List<String> problems = new ArrayList<>();
  private int kills;
  private int acknowledged;

  @BeforeEach
  void requireStrace() {
    assumeTrue(Tools.canTrace(), "needs strace, and the permission to trace");
  }

  @Test
  void someSyncPoints() throws Exception {
    killAtEvery(20);
    assertTrue(kills >= 5, "only " + kills + " kills");
  }

  @Test
  @Tag("long")
  void everySyncPoint() throws Exception {
    killAtEvery(1);
    assertTrue(kills > 100, "only " + kills + " kills");
  }

  private void killAtEvery(int step) throws Exception {
    List<CrashOptions> workloads = List.of(options("mixed", 1, 100), options("small", 0, 120));
    for (CrashOptions options : workloads) {
      Map<String, Integer> calls = count(options);
      System.out.println("calls of one thread at most: " + calls);
      int skipped = 0;
      for (String call : CALLS) {
        for (int number = 1; number <= calls.getOrDefault(call, 0); number++) {
          if (skipped++ % step == step / 2) {
            killAt(options, call, number);
          }
        }
      }
    }
    System.out.printf("%d kills at sync points, %d calls acknowledged%n", kills, acknowledged);
    assertEquals(List.of(), problems);
  }

  private CrashOptions options(String name, int layout, int operations) {
    return new CrashOptions(scratch.resolve(name), 8 << 20, 1 << 20, 4 << 20, layout,
        CrashOptions.Policy.RANDOM,
        Long.getLong("test.seed", 7), 1, 1, operations, CrashFlaw.NONE);
  }

  /** Most calls of each kind that one thread makes. */
  private Map<String, Integer> count(CrashOptions options) throws Exception {
    Path log = scratch.resolve("calls");
    CrashLedger ledger = live(options, Tools.tracing(log.toString(), String.join(",", CALLS)));
    assertTrue(ledger.finished(), "the workload did not come to its end: " + ledger.problems());
    check(options, ledger, "uninjured");
    Map<String, Integer> counts = new HashMap<>();
    Map<String, Integer> most = new HashMap<>();
    for (String line : Files.readAllLines(log)) {
      Matcher call = CALL.matcher(line);
      if (call.matches()) {
        int count = counts.merge(call.group(1) + call.group(2), 1, Integer::sum);
        most.merge(call.group(2), count, Math::max);
      }
    }
    return most;
  }

  private void killAt(CrashOptions options, String call, int number) throws Exception {
    CrashLedger ledger = live(options,
        Tools.tracingAll("/dev/null", call, "-e", "inject=" + call + ":signal=KILL:when=" + number));
    kills += ledger.finished() ? 0 : 1; // what RocksDB does in the background is not the same each time
    acknowledged += ledger.acknowledged();
    check(options, ledger, call + " " + number);
  }

  private CrashLedger live(CrashOptions options, List<String> under)
      throws IOException, InterruptedException {
    Directories.delete(options.directory());
    CrashLedger ledger = new CrashLedger(new CrashWorkload(options.layout()));
    try (CrashProcess child = new CrashProcess(under)) {
      ledger.starts(options);
      child.go(options);
      child.end(ledger);
    }
    return ledger;
  }

  private void check(CrashOptions options, CrashLedger ledger, String at) {
    CrashCheck.Found found =
        CrashCheck.run(options, new CrashWorkload(options.layout()), ledger, false);
    found.problems().forEach(
        problem -> problems
            .add("seed=" + options.seed() + " " + options.directory().getFileName() + " at " + at
                + ": " + problem));
    assertFalse(problems.size() > 20, problems::toString);
  }
}
