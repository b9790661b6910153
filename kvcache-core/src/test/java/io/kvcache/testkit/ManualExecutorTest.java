package io.kvcache.testkit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class ManualExecutorTest {
  @Test
  void runsWhenToldInOrderAndTasksMayAddTasks() {
    ManualExecutor executor = new ManualExecutor();
    List<String> ran = new ArrayList<>();
    executor.execute(() -> {
      ran.add("first");
      executor.execute(() -> ran.add("added"));
    });
    executor.execute(() -> ran.add("second"));
    assertEquals(List.of(), ran);
    assertTrue(executor.runNext());
    assertEquals(2, executor.waiting());
    assertEquals(2, executor.runAll());
    assertEquals(List.of("first", "second", "added"), ran);
    assertFalse(executor.runNext());
    assertFalse(executor.runAny(new SplittableRandom(1)));
  }

  @Test
  void seedGivesTheOrder() {
    assertEquals(order(1), order(1));
    assertNotEquals(order(1), order(2));
  }

  @Test
  void clockMovesForwardsOnly() {
    ManualClock clock = new ManualClock(5);
    clock.advance(10);
    assertEquals(15, clock.getAsLong());
    assertThrows(IllegalArgumentException.class, () -> clock.advance(-1));
  }

  private static List<Integer> order(long seed) {
    ManualExecutor executor = new ManualExecutor();
    List<Integer> ran = new ArrayList<>();
    for (int i = 0; i < 20; i++) {
      int task = i;
      executor.execute(() -> ran.add(task));
    }
    SplittableRandom random = new SplittableRandom(seed);
    while (executor.runAny(random)) {
      assertEquals(20, ran.size() + executor.waiting());
    }
    return ran;
  }
}
