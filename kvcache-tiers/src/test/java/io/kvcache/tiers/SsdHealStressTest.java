package io.kvcache.tiers;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Goal: whoever reads while a tier fails and heals finds what was acknowledged, of the right entry, and never calls
 * into a RocksDB that is closed. Method: few entries that are replaced all the time, so that pages change owners.
 */
@Timeout(120)
final class SsdHealStressTest {
  private static final long CAPACITY = 12 << 20;
  private static final int ENTRIES = 12;
  private static final int WRITERS = 3;
  private static final int READERS = 2;
  private static final int ROUNDS = 25;
  private static final long CALLS_A_ROUND = 60;
  private static final long[] PARTS = {700, 200_000};

  @TempDir
  Path scratch;

  private volatile boolean over;

  private SsdTier open(Path directory) throws IOException {
    return SsdTier.builder(directory, CAPACITY).stagingBytes(4 << 20)
        .pauses(TimeUnit.MILLISECONDS.toNanos(1), TimeUnit.MILLISECONDS.toNanos(1)).open();
  }

  @Test
  void failsAndHealsUnderItsUsers() throws Exception {
    long seed = Long.getLong("test.seed", 1);
    History history = new History(ENTRIES, PARTS);
    AtomicLong reads = new AtomicLong();
    ExecutorService threads = Executors.newFixedThreadPool(WRITERS + READERS);
    try (Arena arena = Arena.ofShared()) {
      try (SsdTier tier = open(scratch.resolve("tier"))) {
        List<Future<?>> running = new ArrayList<>();
        for (int i = 0; i < WRITERS; i++) {
          running.add(threads.submit(writer(tier, history, i, new SplittableRandom(seed * 10 + i))));
        }
        for (int i = 0; i < READERS; i++) {
          MemorySegment target = Entries.target(arena, PARTS[1]);
          SplittableRandom random = new SplittableRandom(~seed * 10 + i);
          running.add(threads.submit(reader(tier, history, target, random, reads)));
        }
        try {
          for (int round = 1; round <= ROUNDS; round++) {
            await(running, history, CALLS_A_ROUND * round);
            tier.store().records().fail(new IOException("injected"));
            int healed = round;
            while (tier.stats().healed() < healed) {
              await(running, history, 0);
            }
          }
        } finally {
          over = true;
        }
        for (Future<?> each : running) {
          each.get(60, TimeUnit.SECONDS);
        }
        assertNull(history.anyProblem(tier, Entries.target(arena, PARTS[1])), "seed=" + seed);
        assertTrue(reads.get() > ROUNDS, "only " + reads + " reads");
      }
      try (SsdTier tier = open(scratch.resolve("tier"))) {
        assertNull(history.anyProblem(tier, Entries.target(arena, PARTS[1])), "seed=" + seed);
        assertEquals(0, tier.stats().misplacedEntries() + tier.stats().damagedRecords());
      }
    } finally {
      threads.shutdownNow();
      assertTrue(threads.awaitTermination(60, TimeUnit.SECONDS));
    }
  }

  private static void await(List<Future<?>> running, History history, long calls) throws Exception {
    do {
      for (Future<?> each : running) {
        if (each.isDone()) {
          each.get();
        }
      }
      Thread.onSpinWait();
    } while (history.calls() < calls);
  }

  private Callable<Void> writer(SsdTier tier, History history, int writer, SplittableRandom random) {
    return () -> {
      while (!over) {
        int number = writer + WRITERS * random.nextInt(ENTRIES / WRITERS);
        boolean done = random.nextInt(4) == 0 ? history.remove(tier, number) : history.store(tier, number);
        if (!done) {
          LockSupport.parkNanos(100_000); // not over and over what is refused until it has healed
        }
      }
      return null;
    };
  }

  private Callable<Void> reader(SsdTier tier, History history, MemorySegment target, SplittableRandom random,
      AtomicLong reads) {
    return () -> {
      while (!over) {
        assertNull(history.problem(tier, random.nextInt(ENTRIES), random.nextInt(PARTS.length), target));
        reads.incrementAndGet();
      }
      return null;
    };
  }

  /** Goal: the test above would notice. Method: what is opened again is what was there some calls before. */
  @Test
  void healingToAnEarlierStateIsNoticed() throws IOException {
    Path directory = scratch.resolve("tier");
    Path earlier = scratch.resolve("earlier");
    Path aside = scratch.resolve("aside");
    for (boolean removal : new boolean[] {true, false}) {
      Directories.delete(directory);
      Directories.delete(earlier);
      Directories.delete(aside);
      History history = new History(1, PARTS);
      try (SsdTier tier = SsdTier.builder(directory, CAPACITY).pauses(Long.MAX_VALUE, Long.MAX_VALUE).open();
          Arena arena = Arena.ofConfined()) {
        assertTrue(history.store(tier, 0));
        Directories.copy(directory, earlier);
        assertTrue(removal ? history.remove(tier, 0) : history.store(tier, 0));
        assertNull(history.anyProblem(tier, Entries.target(arena, PARTS[1])));
        tier.store().records().fail(new IOException("injected"));
        Files.move(directory, aside); // rather than deleted under a RocksDB that may be about to create a file
        Directories.copy(earlier, directory);
        assertTrue(tier.heal());
        assertNotNull(history.anyProblem(tier, Entries.target(arena, PARTS[1])));
      }
    }
  }
}
