package io.kvcache.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.KvCache;
import io.kvcache.KvReservation;
import io.kvcache.KvReservation.Status;
import io.kvcache.Namespace;
import io.kvcache.placement.LruPlacement;
import io.kvcache.testkit.LeakCheck;
import io.kvcache.testkit.MemoryTier;
import io.kvcache.testkit.SlowCommits;
import io.kvcache.testkit.TestPrompt;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** What is removed while it is being stored does not appear afterwards. */
class RemovalInFlightTest extends EngineTest {
  private final MemoryTier ssd = tier("ssd", DISK, 30);

  /** A removal that comes between a reservation and its commit. */
  private interface Removal {
    void of(KvCache cache) throws Exception;
  }

  private boolean committedAfter(TestPrompt prompt, Removal removal) throws Exception {
    MemoryTier medium = tier("medium", DISK, 30);
    try (KvCache cache = builder(LruPlacement.raw(), still(clock), medium).open()) {
      prompt.start(1).store(cache);
      boolean committed;
      try (KvReservation reservation = prompt.reserve(cache)) {
        prompt.write(reservation);
        removal.of(cache);
        committed = reservation.commit();
      }
      assertEquals(committed ? prompt.keys().size() : 0, prompt.find(cache));
      assertEquals(committed ? prompt.keys().size() : 0, medium.usage().entries());
      return committed;
    }
  }

  private static Removal removing(TestPrompt prompt) {
    return cache -> cache.remove(prompt.namespace(), prompt.tokens());
  }

  @Test
  void stopsWhatIsOfTheContextOrContinuesIt() throws Exception {
    TestPrompt prompt = prompt(1, 4);
    assertFalse(committedAfter(prompt, cache -> cache.clear(NAMESPACE)));
    assertFalse(committedAfter(prompt, removing(prompt)));
    assertFalse(committedAfter(prompt, removing(prompt.start(1))));
  }

  @Test
  void stopsNothingElse() throws Exception {
    TestPrompt prompt = prompt(1, 4);
    Namespace other = Namespace.of("another model", LAYOUT);
    assertTrue(committedAfter(prompt, cache -> cache.clear(other)));
    assertTrue(committedAfter(prompt, removing(TestPrompt.of(other, 1, 4))));
    assertTrue(committedAfter(prompt, removing(prompt(2, 4))));
  }

  @Test
  void firstChunkOfAContextIsStoppedToo() throws Exception {
    KvCache cache = openStill(LruPlacement.raw(), ssd);
    try (KvReservation reservation = prompt(1, 4).reserve(cache)) {
      prompt(1, 4).write(reservation);
      assertEquals(0, cache.clear(NAMESPACE));
      assertFalse(reservation.commit());
    }
    assertEquals(0, prompt(1, 4).find(cache));
    assertEquals(0, ssd.usage().usedBytes());
  }

  @Test
  void canBeStoredAnewWhileTheStoppedOneIsStillOpen() throws Exception {
    KvCache cache = openStill(LruPlacement.raw(), ssd);
    TestPrompt prompt = prompt(1, 2);
    try (KvReservation stopped = prompt.reserve(cache)) {
      prompt.write(stopped);
      cache.remove(NAMESPACE, prompt.tokens());
      assertEquals(Status.RESERVED, prompt.store(cache));
      assertFalse(stopped.commit());
    }
    assertEquals(2, prompt.find(cache));
  }

  /** Goal: a promised removal covers entries that a commit has already put into a durable tier. */
  @Test
  void waitsForACommitUnderWayToBeTakenBack() throws Exception {
    SlowCommits slow = new SlowCommits(ssd);
    KvCache cache = open(slow);
    TestPrompt prompt = prompt(1, 2);
    try (KvReservation reservation = prompt.reserve(cache)) {
      prompt.write(reservation);
      CompletableFuture<Boolean> commit = elsewhere(reservation::commit);
      slow.awaitCommit();
      Callable<Integer> removal = () -> cache.remove(NAMESPACE, prompt.tokens());
      FutureTask<Integer> removed = new FutureTask<>(removal);
      Thread remover = Thread.ofPlatform().daemon().start(removed);
      LeakCheck.await("does not wait", () -> remover.getState() == Thread.State.WAITING);
      slow.release();
      assertEquals(0, removed.get(10, TimeUnit.SECONDS));
      assertFalse(commit.get(10, TimeUnit.SECONDS));
    }
    abandon();
    assertEquals(0, prompt.find(openStill(LruPlacement.raw(), checked(ssd.crash()))));
  }
}
