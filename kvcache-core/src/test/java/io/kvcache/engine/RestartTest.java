package io.kvcache.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.CacheEvent;
import io.kvcache.KvCache;
import io.kvcache.KvCache.Flushed;
import io.kvcache.KvReservation.Status;
import io.kvcache.placement.LruPlacement;
import io.kvcache.spi.TierWrite;
import io.kvcache.testkit.FaultyTier;
import io.kvcache.testkit.FaultyTier.Fault;
import io.kvcache.testkit.MemoryTier;
import io.kvcache.testkit.TestPrompt;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/**
 * What a flush promised is there after a power loss, in the order in which it was used; what was lost, only
 * that.
 */
class RestartTest extends EngineTest {
  private static final long SECOND = 1_000_000_000L;

  @Test
  void powerLossTakesWhatWasNotFlushed() throws Exception {
    MemoryTier ssd = tier("ssd", DISK, 20);
    KvCache cache = openStill(LruPlacement.raw(), tier("dram", MEMORY, 20), ssd);
    prompt(1, 3).store(cache);
    assertEquals(new Flushed(3, 0), cache.flush());
    prompt(2, 2).store(cache);
    abandon();
    KvCache next = openStill(LruPlacement.raw(), tier("dram", MEMORY, 20), checked(ssd.crash()));
    assertEquals(3, prompt(1, 3).find(next));
    assertEquals(0, prompt(2, 2).find(next));
  }

  @Test
  void flushSaysWhatDoesNotFitAndKeepsTheMostRecent() throws Exception {
    MemoryTier ssd = tier("ssd", DISK, 6);
    KvCache cache = openStill(LruPlacement.raw(), tier("dram", MEMORY, 20), ssd);
    for (int number = 1; number <= 5; number++) {
      clock.advance(SECOND);
      prompt(number, 2).store(cache);
    }
    Flushed flushed = cache.flush();
    assertEquals(10, flushed.durableChunks() + flushed.volatileChunks());
    assertTrue(flushed.durableChunks() >= 6, flushed::toString);
    abandon();
    KvCache next = openStill(LruPlacement.raw(), checked(ssd.crash()));
    assertEquals(6, prompt(5, 2).find(next) + prompt(4, 2).find(next) + prompt(3, 2).find(next));
  }

  @Test
  void failingFlushPromisesNothing() {
    FaultyTier failing = new FaultyTier(tier("ssd", DISK, 20), 1).set(Fault.FLUSH_FAILS, 1);
    KvCache cache = openStill(LruPlacement.raw(), failing);
    prompt(1, 3).store(cache);
    assertEquals("tier ssd cannot be flushed", assertThrows(IOException.class, cache::flush).getMessage());
    assertEquals(3, prompt(1, 3).find(cache));
  }

  @Test
  void evictionOrderSurvivesARestartHoweverYoungTheClock() throws Exception {
    MemoryTier ssd = tier("ssd", DISK, 8);
    clock.advance(1000 * SECOND);
    KvCache cache = openStill(LruPlacement.raw(), ssd);
    for (int number = 1; number <= 3; number++) {
      prompt(number, 2).store(cache);
      clock.advance(100 * SECOND);
    }
    assertEquals(2, prompt(1, 2).find(cache));
    cache.flush();
    close(ssd);
    KvCache next = open(builder(LruPlacement.raw(), still(() -> 5), checked(ssd.reopen())));
    assertEquals(Status.RESERVED, prompt(4, 6).store(next));
    assertEquals(0, prompt(2, 2).find(next) + prompt(3, 2).find(next));
    assertEquals(2, prompt(1, 2).find(next), "the last one used is the last to go");
  }

  @Test
  void orphansAreFoundAgainWhenTheirParentIsStoredAgain() {
    MemoryTier ssd = tier("ssd", DISK, 20);
    KvCache cache = openStill(LruPlacement.raw(), ssd);
    TestPrompt prompt = prompt(1, 4);
    prompt.store(cache);
    close(ssd);
    MemoryTier holed = checked(ssd.reopen());
    holed.remove(List.of(prompt.entry(1)));
    KvCache next = openStill(LruPlacement.raw(), holed);
    assertEquals(1, prompt.find(next));
    prompt.start(2).store(next);
    assertEquals(4, prompt.find(next));
    assertEquals(4, next.stats().chunks());
  }

  @Test
  void unreadableNotesAreCountedAndRemoved() {
    MemoryTier ssd = tier("ssd", DISK, 20);
    KvCache cache = openStill(LruPlacement.raw(), ssd);
    TestPrompt prompt = prompt(1, 2);
    prompt.store(cache);
    close(ssd);
    MemoryTier damaged = checked(ssd.reopen());
    damaged.annotate(Map.of(prompt.entry(0), new byte[] {1, 2, 3}));
    KvCache next = openStill(LruPlacement.raw(), damaged);
    assertEquals(0, prompt.find(next));
    assertEquals(1, next.stats().tiers().getFirst().corruptChunks());
    assertEquals(prompt.keys().getFirst(), events(CacheEvent.Corrupt.class).getFirst().key());
    assertEquals(1, damaged.usage().entries());
    assertEquals(Status.RESERVED, prompt.start(1).store(next));
    assertEquals(2, prompt.find(next));
  }

  /** What a crash leaves of measuring a tier is no damage: it never had a note. */
  @Test
  void entriesThatNeverHadANoteAreRemovedQuietly() throws Exception {
    MemoryTier ssd = tier("ssd", DISK, 20);
    try (TierWrite scratch = ssd.create(prompt(7, 1).entry(0), new byte[0], new long[] {100}).orElseThrow()) {
      scratch.commit(new long[] {100});
    }
    KvCache cache = openStill(LruPlacement.raw(), ssd);
    assertEquals(0, ssd.usage().entries());
    assertEquals(0, cache.stats().tiers().getFirst().corruptChunks());
    assertEquals(List.of(), events(CacheEvent.Corrupt.class));
  }

  @Test
  void volatileTiersStartEmpty() {
    MemoryTier dram = tier("dram", MEMORY, 20);
    prompt(1, 2).store(openStill(LruPlacement.raw(), dram));
    close(dram);
    assertEquals(0, prompt(1, 2).find(openStill(LruPlacement.raw(), checked(dram.reopen()))));
  }
}
