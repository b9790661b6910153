package io.kvcache.tiers;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
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
  private record Taken(int run, long bytes) {}

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
          int got = pages.allocate(bytes);
          if (got != Slabs.NONE) {
            assertDisjoint(intervals, pages, got, at);
            taken.add(new Taken(got, bytes));
            used += takenBytes(pages, got);
          }
        } else if (!taken.isEmpty()) {
          Taken old = taken.remove(random.nextInt(taken.size()));
          if (random.nextInt(4) == 0) {
            long before = takenBytes(pages, old.run);
            Taken shorter = new Taken(old.run, random.nextLong(1, old.bytes + 1));
            pages.shrink(old.run, shorter.bytes);
            intervals.put(address(pages, old.run), address(pages, old.run) + bytes(pages, old.run));
            used += takenBytes(pages, old.run) - before;
            taken.add(shorter);
          } else {
            intervals.remove(address(pages, old.run));
            used -= takenBytes(pages, old.run);
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

  private static long address(PageAllocator pages, int run) {
    return pages.memory(run, 0, 1).address();
  }

  private static long bytes(PageAllocator pages, int run) {
    return (long) pages.pages(run) * Pages.BYTES;
  }

  private static long takenBytes(PageAllocator pages, int run) {
    return (long) pages.pages(run) * Slabs.TAKEN_BYTES;
  }

  private static void assertDisjoint(TreeMap<Long, Long> intervals, PageAllocator pages, int run, String at) {
    long start = address(pages, run);
    assertEquals(0, start % Pages.BYTES, at);
    var below = intervals.floorEntry(start);
    var above = intervals.ceilingEntry(start);
    assertTrue(below == null || below.getValue() <= start, at + ": overlaps the run before");
    assertTrue(above == null || start + bytes(pages, run) <= above.getKey(), at + ": overlaps the run after");
    intervals.put(start, start + bytes(pages, run));
  }

  @Test
  void freeingTwiceIsAnError() {
    try (Arena arena = Arena.ofShared()) {
      PageAllocator pages = new PageAllocator(arena, MIB);
      int first = pages.allocate(5000);
      int second = pages.allocate(5000);
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
      assertEquals(Slabs.NONE, pages.allocate(100 * MIB + 1));
      assertEquals(Slabs.NONE, pages.allocate(Long.MAX_VALUE));
      assertEquals(0, pages.reservedBytes());
      assertNotEquals(Slabs.NONE, pages.allocate(1));
      assertEquals(1 << 14, pages.reservedBytes() / Slabs.TAKEN_BYTES);
      assertNotEquals(Slabs.NONE, pages.allocate(64 * MIB - 4096));
      long left = pages.limitPages() - (1 << 14);
      assertNotEquals(Slabs.NONE, pages.allocate(left * Pages.BYTES));
      assertEquals(100 * MIB / Slabs.TAKEN_BYTES, pages.reservedBytes() / Slabs.TAKEN_BYTES);
      assertEquals(Slabs.NONE, pages.allocate(1));
    }
  }

  /** Goal: runs larger than a slab usually is, and those behind them, are found by their pages' numbers. */
  @Test
  void slabsOfAnySizeAreNumberedApart() {
    try (Arena arena = Arena.ofShared()) {
      PageAllocator pages = new PageAllocator(arena, 900 * MIB);
      int large = pages.allocate(80 * MIB);
      int small = pages.allocate(300 * MIB);
      assertEquals(80 * MIB, bytes(pages, large));
      assertEquals(300 * MIB, bytes(pages, small));
      for (int run : new int[] {large, small}) {
        long bytes = bytes(pages, run);
        pages.memory(run, 0, bytes).set(ValueLayout.JAVA_BYTE, bytes - 1, (byte) 1);
        pages.free(run);
      }
      assertEquals(pages.slabs(), pages.freeRuns());
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
    List<Integer> mine = new ArrayList<>();
    for (int i = 0; i < 5000; i++) {
      int run = pages.allocate(random.nextLong(1, 300_000));
      if (run != Slabs.NONE) {
        assertTrue(taken.addAndGet(takenBytes(pages, run)) <= limit);
        mine.add(run);
      }
      if (run == Slabs.NONE && !mine.isEmpty()) {
        int old = mine.remove(random.nextInt(mine.size()));
        taken.addAndGet(-takenBytes(pages, old));
        pages.free(old);
      }
    }
    for (int run : mine) {
      taken.addAndGet(-takenBytes(pages, run));
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
    assertTrue(mixed <= 0.10, "mixed sizes waste " + mixed);
    assertTrue(compressed <= 0.10, "compressed parts waste " + compressed);
    assertTrue(layout <= 0.10, "parts of one layout waste " + layout);
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
        int run = pages.allocate(bytes);
        while (run == Slabs.NONE) {
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
