package io.kvcache.tiers;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.ToLongFunction;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.RepetitionInfo;
import org.junit.jupiter.api.Test;

class PageAllocatorTest {
  private static final long MIB = 1 << 20;

  /** A taken run and the bytes asked for. */
  private record Taken(PageRun run, long bytes) {}

  /** Goal: taken runs never overlap and gaps always join. Method: seeded calls against a map of intervals. */
  @RepeatedTest(8)
  void runsAreDisjointAndJoin(RepetitionInfo run) {
    long seed = Long.getLong("test.seed", run.getCurrentRepetition());
    SplittableRandom random = new SplittableRandom(seed);
    try (Arena arena = Arena.ofShared()) {
      long limit = 8 * MIB + random.nextLong(MIB);
      PageAllocator pages = new PageAllocator(arena, limit);
      List<Taken> taken = new ArrayList<>();
      TreeMap<Long, Long> intervals = new TreeMap<>(); // end by start address
      long used = 0;
      for (int step = 0; step < 4000; step++) {
        String at = "seed=" + seed + " step=" + step;
        if (random.nextInt(5) < 3) {
          long bytes = random.nextLong(1, random.nextBoolean() ? 20_000 : MIB);
          PageRun got = pages.allocate(bytes);
          if (got != null) {
            assertDisjoint(intervals, got, at);
            taken.add(new Taken(got, bytes));
            used += got.bytes();
          }
        } else if (!taken.isEmpty()) {
          Taken old = taken.remove(random.nextInt(taken.size()));
          if (random.nextInt(4) == 0) {
            long before = old.run.bytes();
            Taken shorter = new Taken(old.run, random.nextLong(1, old.bytes + 1));
            pages.shrink(old.run, shorter.bytes);
            intervals.put(old.run.memory(0, 1).address(), old.run.memory(0, 1).address() + old.run.bytes());
            used += old.run.bytes() - before;
            taken.add(shorter);
          } else {
            intervals.remove(old.run.memory(0, 1).address());
            used -= old.run.bytes();
            pages.free(old.run);
          }
        }
        assertEquals(used, pages.usedBytes(), at);
        assertTrue(pages.reservedBytes() <= limit, at);
      }
      taken.forEach(each -> pages.free(each.run));
      assertEquals(pages.slabs(), pages.freeRuns(), "seed=" + seed + ": one free run per slab");
      assertEquals(0, pages.usedBytes());
    }
  }

  private static void assertDisjoint(TreeMap<Long, Long> intervals, PageRun run, String at) {
    long start = run.memory(0, 1).address();
    assertEquals(0, start % PageRun.PAGE_BYTES, at);
    var below = intervals.floorEntry(start);
    var above = intervals.ceilingEntry(start);
    assertTrue(below == null || below.getValue() <= start, at + ": overlaps the run before");
    assertTrue(above == null || start + run.bytes() <= above.getKey(), at + ": overlaps the run after");
    intervals.put(start, start + run.bytes());
  }

  @Test
  void freeingTwiceIsAnError() {
    try (Arena arena = Arena.ofShared()) {
      PageAllocator pages = new PageAllocator(arena, MIB);
      PageRun first = pages.allocate(5000);
      PageRun second = pages.allocate(5000);
      pages.free(first);
      pages.free(second); // joined into the first
      assertThrows(IllegalStateException.class, () -> pages.free(first));
      assertThrows(IllegalStateException.class, () -> pages.free(second));
    }
  }

  @Test
  void slabsAreReservedWhenNeededAndUpToTheLimit() {
    try (Arena arena = Arena.ofShared()) {
      PageAllocator pages = new PageAllocator(arena, 100 * MIB + 5);
      assertEquals(0, pages.reservedBytes());
      assertNull(pages.allocate(100 * MIB + 1));
      assertNull(pages.allocate(Long.MAX_VALUE));
      assertEquals(0, pages.reservedBytes());
      assertNotNull(pages.allocate(1));
      assertEquals(64 * MIB, pages.reservedBytes());
      assertNotNull(pages.allocate(64 * MIB - 4096));
      assertNotNull(pages.allocate(36 * MIB));
      assertEquals(100 * MIB, pages.reservedBytes());
      assertNull(pages.allocate(1));
    }
  }

  @Test
  void sizeClassesGrowWithSizeAndDifferByAnEighth() {
    int last = 0;
    int firstOfClass = 1;
    for (int size = 1; size < 1 << 22; size++) {
      int sizeClass = FreeRuns.classOf(size);
      assertTrue(sizeClass == last || sizeClass == last + 1, "size " + size);
      firstOfClass = sizeClass == last ? firstOfClass : size;
      assertTrue(size - firstOfClass <= firstOfClass / 8, "size " + size);
      last = sizeClass;
    }
    assertTrue(FreeRuns.classOf(Integer.MAX_VALUE) < 256);
  }

  /** Goal: never more taken than allowed, with several threads. */
  @Test
  void limitHoldsUnderConcurrency() throws Exception {
    long limit = 4 * MIB;
    try (Arena arena = Arena.ofShared(); ExecutorService threads = Executors.newFixedThreadPool(4)) {
      PageAllocator pages = new PageAllocator(arena, limit);
      AtomicLong taken = new AtomicLong();
      List<Future<?>> running = new ArrayList<>();
      for (int thread = 0; thread < 4; thread++) {
        SplittableRandom random = new SplittableRandom(thread);
        running.add(threads.submit(() -> churn(pages, random, taken, limit)));
      }
      for (Future<?> each : running) {
        each.get(60, TimeUnit.SECONDS);
      }
      assertEquals(0, pages.usedBytes());
      assertEquals(pages.slabs(), pages.freeRuns());
    }
  }

  private static Void churn(PageAllocator pages, SplittableRandom random, AtomicLong taken, long limit) {
    List<PageRun> mine = new ArrayList<>();
    for (int i = 0; i < 5000; i++) {
      PageRun run = pages.allocate(random.nextLong(1, 300_000));
      if (run != null) {
        assertTrue(taken.addAndGet(run.bytes()) <= limit);
        mine.add(run);
      }
      if (run == null && !mine.isEmpty()) {
        PageRun old = mine.remove(random.nextInt(mine.size()));
        taken.addAndGet(-old.bytes());
        pages.free(old);
      }
    }
    for (PageRun run : mine) {
      taken.addAndGet(-run.bytes());
      pages.free(run);
    }
    return null;
  }

  /** Goal: little is lost to rounding and gaps. Method: a full pool, random ones freed for each new one. */
  @Test
  void wastesLittle() {
    double mixed = waste(random -> (long) (40_000 * Math.exp(2.5 * random.nextDouble())));
    double compressed = waste(random -> random.nextInt(5) == 0 ? 4096 : MIB / 4 + random.nextLong(MIB / 2));
    double layout = waste(random -> random.nextInt(5) == 0 ? 6000 : MIB);
    assertTrue(mixed <= 0.15, "mixed sizes waste " + mixed);
    assertTrue(compressed <= 0.15, "compressed parts waste " + compressed);
    assertTrue(layout <= 0.15, "parts of one layout waste " + layout);
  }

  /** Mean share of a full pool that holds no payload, over the second half of the run. */
  private static double waste(ToLongFunction<SplittableRandom> size) {
    SplittableRandom random = new SplittableRandom(17);
    long limit = 128 * MIB;
    int steps = 200_000;
    double sum = 0;
    try (Arena arena = Arena.ofShared()) {
      PageAllocator pages = new PageAllocator(arena, limit);
      List<Taken> taken = new ArrayList<>();
      long payload = 0;
      for (int step = 0; step < steps; step++) {
        long bytes = size.applyAsLong(random);
        PageRun run = pages.allocate(bytes);
        while (run == null) {
          int victim = random.nextInt(taken.size());
          Taken old = taken.set(victim, taken.getLast());
          taken.removeLast();
          payload -= old.bytes;
          pages.free(old.run);
          run = pages.allocate(bytes);
        }
        taken.add(new Taken(run, bytes));
        payload += bytes;
        sum += step < steps / 2 ? 0 : 1 - (double) payload / limit;
      }
    }
    return sum / (steps / 2);
  }
}
