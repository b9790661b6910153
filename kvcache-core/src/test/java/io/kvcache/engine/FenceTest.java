package io.kvcache.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.AcquireOptions;
import io.kvcache.CacheEvent;
import io.kvcache.KvCache;
import io.kvcache.KvLease;
import io.kvcache.KvReservation;
import io.kvcache.KvReservation.Status;
import io.kvcache.placement.LruPlacement;
import io.kvcache.spi.CacheRuntime;
import io.kvcache.testkit.BlockingTier;
import io.kvcache.testkit.FaultyTier;
import io.kvcache.testkit.FaultyTier.Fault;
import io.kvcache.testkit.LeakCheck;
import io.kvcache.testkit.MemoryTier;
import io.kvcache.testkit.TestPrompt;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** A sick tier is left alone, costs no other tier anything, and heals without a restart. */
class FenceTest extends EngineTest {
  private static final MemorySegment BIG = MemorySegment.ofArray(new byte[1 << 16]);

  private final MemoryTier ssd = tier("ssd", DISK, 20);
  private final FaultyTier sick = new FaultyTier(ssd, 1);

  private boolean fenced(KvCache cache) {
    return cache.stats().tiers().getLast().fenced();
  }

  private void fail(KvCache cache, TestPrompt prompt) {
    sick.setEnabled(true);
    sick.set(Fault.READ_FAILS, 1);
    for (int attempt = 0; attempt < 3; attempt++) {
      assertFalse(fenced(cache));
      assertEquals(0, prompt.find(cache));
    }
    assertTrue(fenced(cache));
  }

  @Test
  void isFencedAfterFailuresInARowAndHeals() {
    KvCache cache = openStill(LruPlacement.raw(), sick);
    TestPrompt prompt = prompt(1, 1);
    prompt.store(cache);
    fail(cache, prompt);
    assertEquals("ssd", events(CacheEvent.TierFenced.class).getFirst().tier());
    long injected = sick.injected();
    assertEquals(0, prompt.find(cache));
    assertEquals(Status.FULL, prompt(2, 1).store(cache));
    assertEquals(injected, sick.injected(), "a fenced tier was called");
    sick.setEnabled(false);
    clock.advance(TimeUnit.SECONDS.toNanos(1));
    assertEquals(1, prompt.find(cache), "nothing was lost");
    assertFalse(fenced(cache));
    assertEquals(List.of(new CacheEvent.TierHealed("ssd")), events(CacheEvent.TierHealed.class));
  }

  @Test
  void staysFencedTwiceAsLongWhenItHasNotHealed() {
    KvCache cache = openStill(LruPlacement.raw(), sick);
    TestPrompt prompt = prompt(1, 1);
    prompt.store(cache);
    fail(cache, prompt);
    clock.advance(TimeUnit.SECONDS.toNanos(1));
    assertEquals(0, prompt.find(cache));
    sick.setEnabled(false);
    clock.advance(TimeUnit.SECONDS.toNanos(2) - 1);
    assertEquals(0, prompt.find(cache));
    clock.advance(1);
    assertEquals(1, prompt.find(cache));
    assertEquals(1, events(CacheEvent.TierFenced.class).size());
  }

  /** Goal: a disk that takes no writes is read all the same, and is tried again by those who store. */
  @Test
  void failingWritesCostNoReads() {
    KvCache cache = openStill(LruPlacement.raw(), sick);
    TestPrompt prompt = prompt(1, 1);
    prompt.store(cache);
    sick.set(Fault.CREATE_FAILS, 1);
    for (int attempt = 0; attempt < 3; attempt++) {
      assertFalse(fenced(cache));
      assertEquals(1, prompt.find(cache), "reads that go well say nothing of writes");
      assertEquals(Status.FULL, prompt(2, 1).store(cache));
    }
    assertTrue(fenced(cache));
    long injected = sick.injected();
    assertEquals(Status.FULL, prompt(2, 1).store(cache));
    assertEquals(injected, sick.injected(), "a fenced tier was called");
    assertEquals(1, prompt.find(cache));
    assertTrue(fenced(cache), "a read says nothing of writes");
    sick.setEnabled(false);
    clock.advance(TimeUnit.SECONDS.toNanos(1));
    assertEquals(Status.RESERVED, prompt(2, 1).store(cache));
    assertFalse(fenced(cache));
    assertEquals(1, events(CacheEvent.TierFenced.class).size());
    assertEquals(1, events(CacheEvent.TierHealed.class).size());
  }

  /** Goal: a prompt whose store failed can be stored again though nobody stores anything else. */
  @Test
  void storeThatFailedSucceedsOnceTheTierHasHealed() {
    KvCache cache = openStill(LruPlacement.raw(), sick);
    TestPrompt prompt = prompt(1, 1);
    sick.set(Fault.COMMIT_FAILS, 1).set(Fault.REMOVE_FAILS, 1);
    try (KvReservation reservation = prompt.reserve(cache)) {
      prompt.write(reservation);
      assertFalse(reservation.commit());
    }
    background.runAll();
    sick.setEnabled(false);
    clock.advance(TimeUnit.SECONDS.toNanos(1));
    assertEquals(Status.FULL, prompt.store(cache), "what may be there has not been removed yet");
    background.runAll();
    assertEquals(Status.RESERVED, prompt.store(cache));
    assertEquals(1, prompt.find(cache));
  }

  @Test
  void leaseOfAFencedTierIsAMissAndLosesNothing() {
    KvCache cache = openStill(LruPlacement.raw(), sick);
    TestPrompt prompt = prompt(1, 2);
    prompt.store(cache);
    try (KvLease lease = prompt.acquire(cache, AcquireOptions.exact())) {
      fail(cache, prompt.start(1));
      assertEquals(0, lease.read(0, BIG, BIG));
    }
    sick.setEnabled(false);
    clock.advance(TimeUnit.SECONDS.toNanos(1));
    assertEquals(2, prompt.find(cache));
    assertEquals(0, cache.stats().tiers().getFirst().missingChunks());
  }

  @Test
  void tierAboveGoesOnWithoutIt() {
    MemoryTier dram = tier("dram", MEMORY, 4);
    KvCache cache = openStill(LruPlacement.raw(), dram, sick);
    sick.set(Fault.CREATE_FAILS, 1);
    for (int number = 1; number < 20; number++) {
      if (prompt(number, 2).store(cache) == Status.FULL) {
        background.runAll();
        assertEquals(Status.RESERVED, prompt(number, 2).store(cache), "memory seized up with the disk");
      }
      assertEquals(2, prompt(number, 2).find(cache));
    }
    assertTrue(fenced(cache));
  }

  @Test
  void whatItFailedToRemoveIsRemovedOnceItHeals() {
    KvCache cache = openStill(LruPlacement.raw(), sick);
    TestPrompt prompt = prompt(1, 1);
    prompt.store(cache);
    sick.set(Fault.REMOVE_FAILS, 1).set(Fault.READ_FLIPS, 1);
    assertEquals(0, prompt.find(cache));
    assertTrue(ssd.holds(prompt.entry(0)));
    sick.setEnabled(false);
    assertEquals(Status.FULL, prompt.store(cache), "the late removal would hit the new entry");
    background.runAll();
    assertEquals(0, ssd.usage().entries());
    assertEquals(Status.RESERVED, prompt.store(cache));
    assertEquals(1, prompt.find(cache));
  }

  @Test
  void tierThatHangsIsLeftAloneUntilItAnswers() throws Exception {
    BlockingTier hanging = new BlockingTier(ssd);
    CacheRuntime system = CacheRuntime.system();
    KvCache cache =
        open(builder(LruPlacement.raw(), new CacheRuntime(clock, system.wallClock(), system.random(),
            system.io(), background, Runnable::run, system.onClose()), hanging));
    TestPrompt prompt = prompt(1, 2);
    prompt.store(cache);
    hanging.block();
    AcquireOptions hasty = AcquireOptions.exact().deadline(Duration.ofMillis(5));
    try (KvLease lease = prompt.acquire(cache, hasty)) {
      assertEquals(0, lease.read(0, BIG, BIG));
    }
    hanging.awaitCaller();
    clock.advance(TimeUnit.SECONDS.toNanos(5));
    try (KvLease lease = prompt.acquire(cache, AcquireOptions.exact())) {
      assertEquals(0, lease.tokens());
    }
    assertTrue(fenced(cache));
    assertEquals(1, events(CacheEvent.TierFenced.class).size());
    hanging.release();
    // The first of several reads that hung heals it; those that follow may fence it once more.
    LeakCheck.await("still fenced", () -> prompt.find(cache) == 2);
  }
}
