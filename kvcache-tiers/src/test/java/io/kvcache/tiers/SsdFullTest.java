package io.kvcache.tiers;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.spi.TierWrite;
import io.kvcache.testkit.LeakCheck;
import io.kvcache.testkit.Payloads;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Goal: a disk without space costs the entries that it has no space for, at once; whatever is stored can be read, and
 * storing goes on within seconds when there is space. Method: somebody else fills the tier's filesystem, after claims
 * were made that it had space for.
 */
@Timeout(120)
final class SsdFullTest {
  private static final long DISK = 64 << 20;
  private static final long CAPACITY = 48 << 20;
  private static final int ENTRIES = 12;
  private static final int MOST_CALLS = 5_000;
  private static final long LONGEST_REFUSAL_NANOS = 100_000_000L;
  private static final long HEALED_WITHIN_NANOS = 10_000_000_000L;
  private static final long[] LARGE = {700, 150_000};
  private static final long[] SMALL = {30_000, 30_000};

  @TempDir
  Path scratch;

  private SsdTier open(Path directory, long floorBytes) throws IOException {
    return SsdTier.builder(directory, CAPACITY).stagingBytes(16 << 20).freeSpaceFloorBytes(floorBytes).open();
  }

  @Test
  void extentsFindNoSpace() throws IOException {
    fillAndDrain(LARGE);
  }

  @Test
  void indexFindsNoSpace() throws IOException {
    fillAndDrain(SMALL);
  }

  private void fillAndDrain(long[] parts) throws IOException {
    try (FullDisk disk = FullDisk.mount(scratch.resolve("disk"), DISK)) {
      History history = new History(ENTRIES, parts);
      try (SsdTier tier = open(disk.directory(), 0); Arena arena = Arena.ofConfined()) {
        MemorySegment target = Entries.target(arena, parts[1]);
        for (int number = 0; number < ENTRIES; number++) {
          assertTrue(history.store(tier, number));
        }
        assertTrue(history.remove(tier, 0));
        tier.flush();
        List<TierWrite> claimed = new ArrayList<>();
        for (int number = 100; number < 150; number++) {
          tier.create(Payloads.entry(number), Entries.NOTE, parts).ifPresent(claimed::add);
        }
        disk.fill();
        int failed = 0;
        int slow = 0;
        for (TierWrite write : claimed) {
          long start = System.nanoTime();
          failed += fails(write, parts) ? 1 : 0;
          slow += System.nanoTime() - start > LONGEST_REFUSAL_NANOS ? 1 : 0;
        }
        assertTrue(failed > 0, "there was space for all " + claimed.size());
        for (int number = 0; number < 200; number++) {
          long start = System.nanoTime();
          assertFalse(Entries.store(tier, Payloads.entry(200 + number), 1, parts));
          slow += System.nanoTime() - start > LONGEST_REFUSAL_NANOS ? 1 : 0;
          assertNull(history.anyProblem(tier, target));
        }
        assertTrue(slow <= 1, slow + " took long, more than that which waited until the index found out");
        disk.drain();
        long drained = System.nanoTime();
        LeakCheck.await("not healed", () -> history.store(tier, 1));
        assertTrue(System.nanoTime() - drained < HEALED_WITHIN_NANOS,
            "took " + (System.nanoTime() - drained));
        System.out.printf(
            "full disk: %d of %d claims failed, stored %d ms after there was space, healed %d times%n",
            failed, claimed.size(), (System.nanoTime() - drained) / 1_000_000, tier.stats().healed());
        for (int number = 0; number < ENTRIES; number++) {
          assertTrue(number % 2 == 0 ? history.remove(tier, number) : history.store(tier, number));
        }
        assertNull(history.anyProblem(tier, target));
      }
      checkReopened(disk, history, parts);
    }
  }

  /** Goal: a disk that has space but lets nobody create a file is as a full one. */
  @Test
  void indexCannotCreateFiles() throws IOException {
    try (FullDisk disk = FullDisk.mount(scratch.resolve("disk"), DISK)) {
      History history = new History(ENTRIES, SMALL);
      try (SsdTier tier = open(disk.directory(), 0); Arena arena = Arena.ofConfined()) {
        MemorySegment target = Entries.target(arena, SMALL[1]);
        int stored = 0;
        int refused = 0;
        for (int call = 0; call < MOST_CALLS && refused < 50; call++) {
          disk.fillWithFiles(); // again, as the index deletes some of its own
          boolean done = history.store(tier, call % ENTRIES);
          stored += done ? 1 : 0;
          refused += done ? 0 : 1;
          assertNull(history.problem(tier, call % ENTRIES, 1, target));
        }
        assertTrue(refused > 0, "stored all of " + stored);
        assertNull(history.anyProblem(tier, target));
        disk.drain();
        long drained = System.nanoTime();
        LeakCheck.await("not healed", () -> history.store(tier, 1));
        assertTrue(System.nanoTime() - drained < HEALED_WITHIN_NANOS,
            "took " + (System.nanoTime() - drained));
        System.out.printf(
            "no files: stored %d, then %d not; stored %d ms after there were, healed %d times%n",
            stored, refused, (System.nanoTime() - drained) / 1_000_000, tier.stats().healed());
        assertNull(history.anyProblem(tier, target));
      }
      checkReopened(disk, history, SMALL);
    }
  }

  private static boolean fails(TierWrite claimed, long[] parts) {
    try (TierWrite write = claimed) {
      write.part(1).fill((byte) 1);
      write.commit(parts);
      return false;
    } catch (IOException full) {
      return true;
    }
  }

  private void checkReopened(FullDisk disk, History history, long[] parts) throws IOException {
    try (SsdTier tier = open(disk.directory(), 0); Arena arena = Arena.ofConfined()) {
      assertNull(history.anyProblem(tier, Entries.target(arena, parts[1])));
      assertEquals(new SsdStats(tier.stats().directIo(), true, false, 0, 0, 0, 0), tier.stats());
    }
  }

  /** Goal: a full disk is no damage: what could not be opened for now is all there when it can. */
  @Test
  void openingAFullDiskGivesNothingUp() throws IOException {
    try (FullDisk disk = FullDisk.mount(scratch.resolve("disk"), DISK)) {
      History history = new History(ENTRIES, LARGE);
      Path copy = scratch.resolve("copy");
      try (SsdTier tier = open(disk.directory(), 0)) {
        for (int number = 0; number < ENTRIES; number++) {
          assertTrue(history.store(tier, number));
        }
        tier.flush();
        // As a killed process leaves it: opening has a log to replay. So little that no table is being written.
        Directories.copy(disk.directory(), copy);
      }
      Directories.replace(disk.directory(), copy);
      disk.fill();
      assertThrows(IOException.class, () -> open(disk.directory(), 0));
      assertFalse(Files.exists(disk.directory().resolve("index.damaged")), "given up");
      disk.drain();
      checkReopened(disk, history, LARGE);
    }
  }

  /** Goal: below the floor nothing is stored, above it at once; nothing had to heal. */
  @Test
  void floorIsLeftToOthers() throws IOException {
    try (FullDisk disk = FullDisk.mount(scratch.resolve("disk"), DISK)) {
      long floor = 32 << 20;
      try (SsdTier tier = open(disk.directory(), floor)) {
        int stored = 0;
        while (Entries.store(tier, Payloads.entry(stored), 1, LARGE)) {
          stored++;
        }
        long free = Files.getFileStore(disk.directory()).getUsableSpace();
        assertTrue(stored > 100 && free >= floor - (1 << 20) && free < floor + (2 << 20),
            stored + " entries, " + free + " bytes free");
        assertFalse(tier.removalHelps(LARGE), "whatever is removed stays in the files");
        assertEquals(1, tier.remove(List.of(Payloads.entry(0))));
        assertEquals(0, tier.stats().healed());
      }
    }
  }

  /** Goal: an index that takes more than it is allowed has the tier full, not failing, until it takes less. */
  @Test
  void indexOverItsAllowance() throws IOException {
    Path directory = scratch.resolve("tier");
    try (SsdTier tier = open(directory, 0)) {
      assertTrue(Entries.store(tier, Payloads.entry(0), 1, SMALL));
      Path swollen = directory.resolve("index").resolve("swollen");
      Files.write(swollen, new byte[8 << 20]);
      int stored = 1;
      while (Entries.store(tier, Payloads.entry(stored), 1, SMALL)) {
        assertTrue(++stored < 1000, "never measured");
      }
      for (int attempt = 0; attempt < 10; attempt++) {
        long start = System.nanoTime();
        assertFalse(Entries.store(tier, Payloads.entry(1000), 1, SMALL));
        assertFalse(tier.removalHelps(SMALL));
        assertTrue(System.nanoTime() - start < LONGEST_REFUSAL_NANOS, "took " + (System.nanoTime() - start));
      }
      try (Arena arena = Arena.ofConfined()) {
        for (int number = 0; number < stored; number++) {
          assertEquals(1, Entries.version(tier, Payloads.entry(number), 1, Entries.target(arena, SMALL[1])));
        }
      }
      Files.delete(swollen);
      assertTrue(Entries.store(tier, Payloads.entry(1000), 1, SMALL));
      assertEquals(0, tier.stats().healed());
    }
  }
}
