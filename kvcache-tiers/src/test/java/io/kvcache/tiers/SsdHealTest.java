package io.kvcache.tiers;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.spi.Deadline;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.ReadResult;
import io.kvcache.spi.TierWrite;
import io.kvcache.testkit.LeakCheck;
import io.kvcache.testkit.Payloads;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A tier that a failed sync has left without writes opens its directory again, and loses nothing by it. */
@Timeout(60)
final class SsdHealTest {
  private static final long CAPACITY = 32 << 20;
  private static final long[] PARTS = {1000, 300_000};
  private static final long SHORT = TimeUnit.MILLISECONDS.toNanos(5);
  private static final long NEVER = Long.MAX_VALUE;

  @TempDir
  Path directory;

  private SsdTier open(long pauseNanos) throws IOException {
    return SsdTier.builder(directory, CAPACITY).stagingBytes(8 << 20).pauses(pauseNanos, pauseNanos).open();
  }

  private static void fail(SsdTier tier) {
    tier.store().records().fail(new IOException("injected"));
  }

  /** Versions 1 and 2 of entries 0 and 1, and 2 removed. */
  private static void prepare(SsdTier tier) throws IOException {
    for (int number = 0; number < 3; number++) {
      assertTrue(Entries.store(tier, Payloads.entry(number), 1, PARTS));
    }
    assertTrue(Entries.store(tier, Payloads.entry(1), 2, PARTS));
    assertEquals(1, tier.remove(List.of(Payloads.entry(2))));
    tier.flush();
  }

  private static void check(SsdTier tier) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment target = Entries.target(arena, PARTS[1]);
      for (int part = 0; part < PARTS.length; part++) {
        assertEquals(1, Entries.version(tier, Payloads.entry(0), part, target));
        assertEquals(2, Entries.version(tier, Payloads.entry(1), part, target));
        assertEquals(-1, Entries.version(tier, Payloads.entry(2), part, target), "a removed entry is back");
      }
    }
  }

  @Test
  void healsByItselfAndHasEverythingThatWasAcknowledged() throws IOException {
    try (SsdTier tier = open(SHORT)) {
      prepare(tier);
      long used = tier.usage().usedBytes();
      for (int round = 1; round <= 3; round++) {
        fail(tier);
        int times = round;
        LeakCheck.await("not healed", () -> tier.stats().healed() == times);
        assertTrue(tier.stats().writable());
        assertEquals(used, tier.usage().usedBytes());
        assertEquals(Set.of(Payloads.entry(0), Payloads.entry(1)), Entries.ids(tier));
        check(tier);
      }
      assertTrue(Entries.store(tier, Payloads.entry(3), 1, PARTS));
      assertEquals(1, tier.remove(List.of(Payloads.entry(3))));
      tier.flush();
      assertEquals(new SsdStats(tier.stats().directIo(), true, false, 0, 0, 0, 3), tier.stats());
    }
    try (SsdTier tier = open(NEVER)) {
      check(tier);
    }
  }

  /** Goal: the test above would notice if nothing healed. */
  @Test
  void withoutAnAttemptItStaysDead() throws IOException {
    try (SsdTier tier = open(NEVER)) {
      prepare(tier);
      fail(tier);
      for (int i = 0; i < 100; i++) {
        assertFalse(Entries.store(tier, Payloads.entry(3), 1, PARTS));
        assertThrows(IOException.class, tier::flush);
      }
      check(tier);
      assertTrue(tier.heal());
      assertTrue(Entries.store(tier, Payloads.entry(3), 1, PARTS));
    }
  }

  @Test
  void writeClaimedBeforeIsOverAndCostsNoRoom() throws IOException {
    try (SsdTier tier = open(NEVER)) {
      prepare(tier);
      long used = tier.usage().usedBytes();
      TierWrite committed = tier.create(Payloads.entry(4), Entries.NOTE, PARTS).orElseThrow();
      TierWrite closed = tier.create(Payloads.entry(5), Entries.NOTE, PARTS).orElseThrow();
      TierWrite after = tier.create(Payloads.entry(6), Entries.NOTE, PARTS).orElseThrow();
      fail(tier);
      assertThrows(IOException.class, () -> committed.commit(PARTS));
      assertTrue(tier.heal());
      assertThrows(IOException.class, () -> after.commit(PARTS));
      closed.close();
      assertEquals(used, tier.usage().usedBytes());
      long all = tier.maxEntryBytes();
      assertTrue(tier.create(Payloads.entry(7), Entries.NOTE, new long[] {all}).isPresent(),
          "staging is lost");
    }
  }

  /** Goal: while the directory cannot be opened everything is a miss or refused, and it is tried again. */
  @Test
  void whatCannotBeOpenedIsTriedAgain() throws IOException {
    Path marker = directory.resolve(SsdMarker.FILE);
    Path aside = directory.resolve("aside");
    try (SsdTier tier = open(NEVER); Arena arena = Arena.ofConfined()) {
      prepare(tier);
      long used = tier.usage().usedBytes();
      TierWrite write = tier.create(Payloads.entry(4), Entries.NOTE, PARTS).orElseThrow();
      fail(tier);
      Files.move(marker, aside);
      for (int attempt = 0; attempt < 3; attempt++) {
        assertFalse(tier.heal());
        MemorySegment target = Entries.target(arena, PARTS[1]);
        ReadResult result = tier.read(Payloads.entry(0), 1, target, Deadline.never());
        assertInstanceOf(ReadResult.Unreadable.class, result);
        assertEquals(Optional.empty(), tier.create(Payloads.entry(5), Entries.NOTE, PARTS));
        assertFalse(tier.removalHelps(PARTS));
        assertThrows(IOException.class, () -> tier.remove(List.of(Payloads.entry(0))));
        assertThrows(IOException.class, () -> tier.annotate(Map.of(Payloads.entry(0), Entries.NOTE)));
        assertThrows(IOException.class, () -> tier.inventory(entry -> {}));
        assertThrows(IOException.class, tier::flush);
        assertFalse(tier.stats().writable());
        assertEquals(2, tier.usage().entries());
      }
      assertThrows(IOException.class, () -> write.commit(PARTS));
      assertThrows(IOException.class, () -> open(NEVER), "the directory is still this tier's");
      Files.move(aside, marker);
      assertTrue(tier.heal());
      assertEquals(used, tier.usage().usedBytes());
      check(tier);
    }
  }

  @Test
  void canBeClosedWhileItCannotBeOpened() throws IOException {
    Path marker = directory.resolve(SsdMarker.FILE);
    Path aside = directory.resolve("aside");
    SsdTier tier = open(SHORT);
    prepare(tier);
    Files.move(marker, aside);
    fail(tier);
    LeakCheck.await("never closed", () -> !readable(tier, Payloads.entry(0)));
    tier.close();
    Files.move(aside, marker);
    assertTrue(Thread.getAllStackTraces().keySet().stream().noneMatch(
        thread -> thread.getName().contains(directory.toString())), "a thread is left");
    try (SsdTier again = open(NEVER)) {
      check(again);
    }
  }

  /** Goal: closing and opening again do not meet in the same RocksDB, whichever comes first. */
  @Test
  void closedWhileItHeals() throws IOException {
    SplittableRandom random = new SplittableRandom(Long.getLong("test.seed", 1));
    try (SsdTier tier = open(NEVER)) {
      prepare(tier);
    }
    for (int round = 0; round < 20; round++) {
      try (SsdTier tier = open(TimeUnit.MICROSECONDS.toNanos(100))) {
        fail(tier);
        LockSupport.parkNanos(random.nextLong(20_000_000));
      }
    }
    try (SsdTier tier = open(NEVER)) {
      check(tier);
    }
  }

  private static boolean readable(SsdTier tier, EntryId id) {
    try (Arena arena = Arena.ofConfined()) {
      return Entries.version(tier, id, 1, Entries.target(arena, PARTS[1])) >= 0;
    }
  }

  /** Goal: what was healed and fails at once is tried more and more seldom. Method: attempts that note the time. */
  @Test
  void pausesGrowUntilItStaysHealed() throws Exception {
    List<Long> attempts = new CopyOnWriteArrayList<>();
    SsdHealer[] healer = new SsdHealer[1];
    healer[0] = new SsdHealer("test", () -> {
      attempts.add(System.nanoTime());
      if (attempts.size() < 6) {
        healer[0].wake(); // failed again before anybody heard that it was healed
      }
      return true;
    }, SHORT, 8 * SHORT);
    try (SsdHealer closing = healer[0]) {
      assertSame(healer[0], closing);
      long start = System.nanoTime();
      closing.wake();
      LeakCheck.await("not tried again", () -> attempts.size() == 6);
      for (int i = 0; i < 6; i++) {
        long pause = attempts.get(i) - (i == 0 ? start : attempts.get(i - 1));
        long least = Math.min(8, 1 << i) * SHORT;
        assertTrue(pause >= least, "pause " + i + " of " + pause + " ns, at least " + least);
      }
    }
  }
}
