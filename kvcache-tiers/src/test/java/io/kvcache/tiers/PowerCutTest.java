package io.kvcache.tiers;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * Goal: what a flush acknowledged survives a power cut, what was removed does not come back, and all bytes are right.
 * Method: as {@link CacheCrashTest}, on a {@link LoopDisk}, of which only what was written to the device is kept.
 */
final class PowerCutTest {
  private static final long SEED = Long.getLong("test.seed", 1);
  private static final int CUTS_OF_A_DISK = 15;
  private static final long MOST_OPENING_NANOS = 500_000_000;
  private static final int FEWEST_LINES = 150;
  private static final int MOST_LINES = 400;

  private final SplittableRandom random = new SplittableRandom(SEED);
  private Path scratch;
  private int cuts;
  private int durableEntries;

  @BeforeEach
  void requireRoot() throws IOException {
    Path memory = Path.of("/dev/shm"); // where there is one, a disk in it costs no real disk's time
    scratch = Files.isWritable(memory) ? Files.createTempDirectory(memory, "kvcache-power-cut-")
        : Files.createTempDirectory("kvcache-power-cut-");
    assumeTrue(LoopDisk.works(scratch), "needs root, mkfs.ext4 and loop devices");
  }

  @AfterEach
  void deleteScratch() throws IOException {
    Directories.delete(scratch);
  }

  @Test
  void powerCutsLoseNothingFlushed() throws Exception {
    assertEquals(List.of(), run(5, List.of()));
    assertTrue(durableEntries > 20,
        "only " + durableEntries + " entries were durable when the power was cut");
  }

  @Test
  @Tag("long")
  void threeHundredPowerCutsLoseNothingFlushed() throws Exception {
    assertEquals(List.of(), run(Integer.getInteger("test.cycles", 300), List.of()));
  }

  /** Positive control: where syncs do nothing, nearly every cut is noticed. */
  @Test
  void powerCutsWithoutSyncsAreNoticed() throws Exception {
    assumeTrue(Tools.canTrace(), "needs strace, and the permission to trace");
    losesWithoutSyncs(3);
  }

  @Test
  @Tag("long")
  void twentyPowerCutsWithoutSyncsAreNoticed() throws Exception {
    losesWithoutSyncs(20);
  }

  private void losesWithoutSyncs(int disks) throws Exception {
    List<String> without =
        Tools.tracing("/dev/null", "fdatasync,fsync", "-e", "inject=fdatasync,fsync:retval=0");
    int noticed = 0;
    for (int disk = 0; disk < disks; disk++) {
      noticed += run(1, without).isEmpty() ? 0 : 1;
    }
    System.out.printf("%d of %d power cuts without syncs were noticed%n", noticed, disks);
    assertTrue(noticed >= 0.9 * disks - 1, "seed=" + SEED + ": noticed " + noticed + " of " + disks);
  }

  /** Cuts the power so often, or until something is wrong; returns what. */
  private List<String> run(int count, List<String> under) throws Exception {
    List<String> problems = new ArrayList<>();
    for (int cut = 0; cut < count && problems.isEmpty();) {
      int ofDisk = Math.min(count - cut, 1 + random.nextInt(CUTS_OF_A_DISK));
      problems.addAll(useDisk(ofDisk, under));
      cut += ofDisk;
    }
    System.out.printf("%d power cuts, seed %d: %d durable entries were at stake%n", cuts, SEED,
        durableEntries);
    return problems;
  }

  /** Cuts the power of one disk several times; it goes on from what each cut has left. */
  private List<String> useDisk(int ofDisk, List<String> under) throws Exception {
    int layout = random.nextInt(CrashWorkload.layouts());
    CrashWorkload workload = new CrashWorkload(layout);
    CrashLedger ledger = new CrashLedger(workload);
    List<String> problems = new ArrayList<>();
    Path image = scratch.resolve("image");
    Path left = scratch.resolve("left");
    LoopDisk.format(image);
    for (int life = 0; life < ofDisk && problems.isEmpty(); life++) {
      CrashOptions options = CrashOptions.random(scratch.resolve("mounted").resolve("store"), layout,
          1 + life * 1_000_000L, random);
      try (LoopDisk disk = new LoopDisk(image, scratch.resolve("mounted"))) {
        live(options, ledger, under);
        disk.cut(left);
      }
      cuts++;
      durableEntries += ledger.certain(true).size();
      Files.move(left, image, StandardCopyOption.REPLACE_EXISTING);
      try (LoopDisk disk = new LoopDisk(image, scratch.resolve("mounted"))) {
        CrashCheck.Found found = CrashCheck.run(options, workload, ledger, true);
        String at = "seed=" + SEED + " cut=" + cuts + " " + options.line() + " on " + disk.directory() + ": ";
        found.problems().stream().limit(5).forEach(problem -> problems.add(at + problem));
      }
    }
    return problems;
  }

  private void live(CrashOptions options, CrashLedger ledger, List<String> under)
      throws IOException, InterruptedException {
    try (CrashProcess child = new CrashProcess(under)) {
      ledger.starts(options);
      child.go(options);
      boolean early = under.isEmpty() && random.nextInt(6) == 0;
      boolean alive = child.follow(ledger, early ? 0 : FEWEST_LINES + random.nextInt(MOST_LINES));
      if (early) {
        LockSupport.parkNanos(random.nextLong(MOST_OPENING_NANOS));
      }
      child.kill(ledger);
      if (!alive) {
        ledger.problems().add("the child ended by itself");
      }
    }
  }
}
