package io.kvcache.tiers;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.spi.TierWrite;
import io.kvcache.testkit.Payloads;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.concurrent.locks.LockSupport;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Goal: a cache that is killed at any moment loses nothing it acknowledged, brings nothing back that was removed,
 * and opens again with right bytes only. Method: a process stores, looks up, moves, encodes anew, removes and
 * flushes, and reports it; it is killed, what it leaves is compared with its reports, and the next one, with other
 * capacities and another policy, goes on from there. The kernel keeps what a killed process had written, so syncs
 * are not tested here, and what was acknowledged counts as kept even before a flush: see {@link PowerCutTest}.
 */
final class CacheCrashTest {
  private static final long SEED = Long.getLong("test.seed", 1);
  private static final int LIVES_OF_A_STORE = 12;
  private static final int MOST_LINES = 400;
  private static final long MOST_OPENING_NANOS = 80_000_000;
  private static final long MOST_LATER_NANOS = 5_000_000;

  @TempDir
  Path scratch;

  private final SplittableRandom random = new SplittableRandom(SEED);
  private final List<Long> openNanos = new ArrayList<>();
  private final Map<String, Integer> events = new TreeMap<>();
  private CrashProcess next;
  private int acknowledged;
  private int checkedChunks;

  @Test
  void killedCachesLoseNothing() throws Exception {
    assertEquals(List.of(), run(15, CrashFlaw.NONE));
    assertTrue(acknowledged > 15 * 25, "only " + acknowledged + " calls were acknowledged");
    assertTrue(checkedChunks > 15 * 10, "only " + checkedChunks + " chunks were checked");
  }

  @Test
  @Tag("long")
  void thousandKilledCachesLoseNothing() throws Exception {
    assertEquals(List.of(), run(Integer.getInteger("test.cycles", 1000), CrashFlaw.NONE));
    assertTrue(events.keySet().containsAll(Set.of("Moved", "Reencoded", "DroppedEVICTED", "DroppedREMOVED")),
        "not all was done: " + events);
  }

  /** Positive controls: each kind of broken promise is noticed. */
  @ParameterizedTest
  @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "NONE")
  void brokenPromisesAreNoticed(CrashFlaw flaw) throws Exception {
    String complaint = switch (flaw) {
      case LOSES_STORES -> "lost";
      case FORGETS_REMOVALS -> "back";
      default -> "wrong bytes|never stored";
    };
    String problems = String.join("\n", run(8, flaw));
    assertTrue(Pattern.compile(complaint).matcher(problems).find(),
        "seed=" + SEED + ": not noticed: " + problems);
  }

  /** Goal: what a kill leaves of a measurement, and the cache that checks removes, counts as nobody's loss. */
  @Test
  void remainsOfAMeasurementAreNoLoss() throws Exception {
    CrashLedger ledger = new CrashLedger(new CrashWorkload(0));
    CrashOptions options = CrashOptions.random(scratch.resolve("store"), 0, 1, random);
    String id = CrashReport.idName(Payloads.entry(0));
    ledger.starts(options);
    ledger.heard("opened");
    try (SsdTier tier = options.openSsd(); TierWrite write =
        tier.create(Payloads.entry(0), new byte[0], new long[] {100}).orElseThrow()) {
      ledger.heard("putting " + id);
      write.commit(new long[] {100});
      ledger.heard("put " + id);
    }
    assertEquals(List.of(), CrashCheck.run(options, new CrashWorkload(0), ledger, false).problems());
    ledger.starts(options);
    ledger.heard("opened");
    assertEquals(List.of(), ledger.problems());
  }

  /** Kills so many caches, or until something is wrong; returns what. */
  private List<String> run(int cycles, CrashFlaw flaw) throws Exception {
    List<String> problems = new ArrayList<>();
    next = new CrashProcess(List.of());
    try {
      for (int cycle = 0; cycle < cycles && problems.isEmpty();) {
        Path directory = scratch.resolve("store-" + cycle);
        int lives = Math.min(cycles - cycle, 1 + random.nextInt(LIVES_OF_A_STORE));
        problems.addAll(store(directory, cycle, lives, flaw));
        Directories.delete(directory);
        cycle += lives;
      }
    } finally {
      next.close();
    }
    Collections.sort(openNanos);
    System.out.printf(
        "%d kills, seed %d: %d calls acknowledged, %d chunks checked, opening took %.0f ms (p50),"
            + " %.0f ms (p99), %.0f ms at most%n",
        openNanos.size(), SEED, acknowledged, checkedChunks, openMillis(0.5),
        openMillis(0.99), openMillis(1), events);
    return problems;
  }

  private double openMillis(double quantile) {
    return openNanos.get((int) Math.ceil(quantile * openNanos.size()) - 1) / 1e6;
  }

  /** The lives of one store, each of which is ended by a kill. */
  private List<String> store(Path directory, int firstCycle, int lives, CrashFlaw flaw) throws Exception {
    int layout = random.nextInt(CrashWorkload.layouts());
    CrashWorkload workload = new CrashWorkload(layout);
    CrashLedger ledger = new CrashLedger(workload);
    List<String> problems = new ArrayList<>();
    for (int life = 0; life < lives && problems.isEmpty(); life++) {
      CrashOptions options =
          CrashOptions.random(directory, layout, 1 + life * 1_000_000L, random).with(flaw);
      live(options, ledger);
      Path checked = directory;
      // The next one opens what was left by a crash, not by a check; but not where the check makes the store smaller.
      if (random.nextBoolean() && ledger.hasOpened()) {
        checked = scratch.resolve("checked");
        Directories.replace(checked, directory);
      }
      CrashCheck.Found found = CrashCheck.run(options.in(checked), workload, ledger, false);
      openNanos.add(found.openNanos());
      checkedChunks += found.chunks();
      String at = "seed=" + SEED + " cycle=" + (firstCycle + life) + " " + options.line() + ": ";
      found.problems().stream().limit(5).forEach(problem -> problems.add(at + problem));
    }
    acknowledged += ledger.acknowledged();
    ledger.events().forEach((event, count) -> events.merge(event, count, Integer::sum));
    return problems;
  }

  /** One life: while it is opening, or after some lines, and a moment. */
  private void live(CrashOptions options, CrashLedger ledger) throws IOException, InterruptedException {
    boolean early = random.nextInt(6) == 0;
    try (CrashProcess child = next) {
      ledger.starts(options);
      child.go(options);
      boolean alive = child.follow(ledger, early ? 0 : random.nextInt(MOST_LINES));
      LockSupport.parkNanos(random.nextLong(early ? MOST_OPENING_NANOS : MOST_LATER_NANOS));
      next = new CrashProcess(List.of());
      child.kill(ledger);
      if (!alive) {
        ledger.problems().add("the child ended by itself");
      }
    }
  }
}
