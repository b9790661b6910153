package io.kvcache.tiers;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.RepetitionInfo;

/** Free pages against a plain set of page numbers. */
final class FreeExtentsTest {
  private static final int PAGES = 500;

  @RepeatedTest(20)
  void agreesWithASetOfPages(RepetitionInfo run) {
    long seed = Long.getLong("test.seed", run.getCurrentRepetition());
    SplittableRandom random = new SplittableRandom(seed);
    FreeExtents free = new FreeExtents();
    BitSet model = new BitSet();
    free.add(0, PAGES);
    model.set(0, PAGES);
    List<FreeExtents.Run> taken = new ArrayList<>();
    for (int step = 0; step < 1000; step++) {
      String at = "seed=" + seed + " step=" + step;
      if (random.nextInt(5) < 3) {
        take(free, model, taken, random.nextInt(1, 30), at);
      } else if (!taken.isEmpty()) {
        FreeExtents.Run back = taken.remove(random.nextInt(taken.size()));
        free.add(back.start(), back.pages());
        model.set((int) back.start(), (int) back.end());
      }
      assertEquals(model.cardinality(), free.total(), at);
    }
    taken.forEach(back -> free.add(back.start(), back.pages()));
    assertEquals(new FreeExtents.Run(0, PAGES), free.takeLongest(), "seed=" + seed + ": not merged");
  }

  private static void take(FreeExtents free, BitSet model, List<FreeExtents.Run> taken, int pages,
      String at) {
    long start = free.take(pages);
    if (start < 0) {
      FreeExtents.Run longest = free.takeLongest();
      assertTrue(longest == null || longest.pages() < pages, at + ": a fitting run was not found");
      if (longest == null) {
        return;
      }
      start = longest.start();
      pages = (int) longest.pages();
    }
    assertTrue(model.nextClearBit((int) start) >= start + pages, at + ": pages that were taken");
    model.clear((int) start, (int) start + pages);
    taken.add(new FreeExtents.Run(start, pages));
  }
}
