package io.kvcache.testkit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.CacheStats;
import io.kvcache.KvCache;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;

/** What must be true of a cache at rest: nothing open, every buffer back, no tier with a reference out. */
public final class LeakCheck {
  private static final long PATIENCE_NANOS = TimeUnit.SECONDS.toNanos(30);

  private LeakCheck() {}

  /** Checks a cache nobody uses, closes it, and checks the media under it. */
  public static void close(KvCache cache, MemoryTier... media) {
    await("buffers are in use", () -> cache.stats().readBuffers() == 0);
    CacheStats stats = cache.stats();
    assertEquals(0, stats.openLeases(), "open leases");
    assertEquals(0, stats.openReservations(), "open reservations");
    for (CacheStats.TierStats tier : stats.tiers()) {
      assertTrue(tier.usedBytes() <= tier.capacityBytes(), () -> "over capacity: " + tier);
    }
    cache.close();
    for (MemoryTier medium : media) {
      assertEquals(0, medium.openHandles(), "writes or views open in " + medium.name());
      long[] bytes = new long[1];
      medium.reopen().inventory(entry -> bytes[0] += entry.storedBytes());
      assertTrue(bytes[0] <= medium.usage().usedBytes(), "bytes do not add up in " + medium.name());
    }
  }

  /** Waits for what another thread is about to do. */
  public static void await(String otherwise, BooleanSupplier condition) {
    long start = System.nanoTime();
    while (!condition.getAsBoolean()) {
      assertTrue(System.nanoTime() - start < PATIENCE_NANOS, otherwise);
      Thread.onSpinWait();
    }
  }
}
