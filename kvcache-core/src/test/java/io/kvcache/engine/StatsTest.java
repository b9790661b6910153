package io.kvcache.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.AcquireOptions;
import io.kvcache.CacheEvent;
import io.kvcache.CacheEvent.DropCause;
import io.kvcache.CacheStats;
import io.kvcache.CacheStats.Loads;
import io.kvcache.CacheStats.TierStats;
import io.kvcache.KvCache;
import io.kvcache.KvLease;
import io.kvcache.KvReservation.Status;
import io.kvcache.StoreOptions;
import io.kvcache.placement.LruPlacement;
import io.kvcache.testkit.MemoryTier;
import io.kvcache.testkit.TestPrompt;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Counters and events say what happened, and add up. */
class StatsTest extends EngineTest {
  @Test
  void countsWhatWasAskedFoundAndStored() {
    KvCache cache = openStill(LruPlacement.raw(), tier("dram", MEMORY, 10));
    TestPrompt prompt = prompt(1, 3);
    prompt.store(cache);
    CacheStats before = cache.stats();
    prompt.then(2, 1).find(cache);
    prompt(3, 2).find(cache);
    CacheStats stats = cache.stats().minus(before);
    assertEquals(2, stats.lookups());
    assertEquals(6L * CHUNK_TOKENS, stats.requestedTokens());
    assertEquals(3L * CHUNK_TOKENS, stats.hitTokens());
    assertEquals(0.5, stats.hitTokenShare());
    assertEquals(0, stats.storedTokens());
    assertEquals(3L * CHUNK_TOKENS, before.storedTokens());
    assertEquals(List.of(new Loads("dram", "raw", 3, 3 * LAYOUT.chunkBytes())), stats.loads());
    assertEquals(3, stats.chunks());
    assertEquals(List.of(new CacheEvent.LookedUp(3 * CHUNK_TOKENS, 4 * CHUNK_TOKENS),
        new CacheEvent.LookedUp(0, 2 * CHUNK_TOKENS)), events(CacheEvent.LookedUp.class));
  }

  @Test
  void evictionIsCountedWhereItHappens() {
    MemoryTier dram = tier("dram", MEMORY, 4);
    KvCache cache = openStill(LruPlacement.raw(), dram);
    prompt(1, 3).store(cache);
    assertEquals(Status.RESERVED, prompt(2, 3).store(cache));
    TierStats tier = cache.stats().tiers().getFirst();
    assertEquals(2, tier.evictedChunks(), "as many as needed, the last ones first");
    assertEquals(4, tier.entries());
    assertEquals(dram.usage().usedBytes(), tier.usedBytes());
    CacheEvent.Dropped one = new CacheEvent.Dropped("dram", 1, DropCause.EVICTED);
    assertEquals(List.of(one, one), events(CacheEvent.Dropped.class));
    assertEquals(4, cache.stats().chunks());
    assertEquals(1, prompt(1, 3).find(cache));
  }

  @Test
  void movesAndCopiesAreTold() throws Exception {
    KvCache cache = openStill(LruPlacement.raw(), tier("dram", MEMORY, 2), tier("ssd", DISK, 10));
    prompt(1, 2).store(cache);
    cache.flush();
    CacheEvent.Moved copied = new CacheEvent.Moved("dram", "ssd", "raw", 1, true);
    assertEquals(List.of(copied, copied), events(CacheEvent.Moved.class));
    assertEquals(Status.RESERVED, prompt(2, 2).store(cache), "copies below are dropped above");
    prompt(3, 1).reserve(cache).close();
    background.runAll();
    assertEquals(new CacheEvent.Moved("dram", "ssd", "raw", 1, false), events(CacheEvent.Moved.class).get(2));
    long written = cache.stats().tiers().getLast().bytesWritten();
    assertEquals(events(CacheEvent.Moved.class).size() * cache.stats().tiers().getFirst().bytesWritten() / 4,
        written);
  }

  @Test
  void leaseEstimatesItsLoadAgainstAPrefill() {
    KvCache cache = openStill(LruPlacement.raw(), tier("dram", MEMORY, 10));
    TestPrompt prompt = prompt(1, 3);
    try (var reservation = cache.reserve(NAMESPACE, prompt.tokens(),
        StoreOptions.defaults().prefillTime(Duration.ofSeconds(3)))) {
      prompt.write(reservation);
      reservation.commit();
    }
    try (KvLease lease = prompt.acquire(cache, AcquireOptions.exact())) {
      assertEquals(Duration.ofSeconds(3), lease.recomputeEstimate().orElseThrow());
      assertTrue(lease.loadEstimate().toNanos() > 0);
      assertTrue(lease.worthLoading(Duration.ofSeconds(3)));
      assertFalse(lease.worthLoading(Duration.ZERO));
    }
  }
}
