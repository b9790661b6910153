package io.kvcache.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.AcquireOptions;
import io.kvcache.CacheEvent.Corrupt;
import io.kvcache.ChunkKey;
import io.kvcache.KvCache;
import io.kvcache.KvLease;
import io.kvcache.KvReservation;
import io.kvcache.StoreOptions;
import io.kvcache.spi.Deadline;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.PlacementEvent.LoadDelay;
import io.kvcache.spi.PlacementEvent.RecomputeDelay;
import io.kvcache.spi.ReadResult;
import io.kvcache.spi.Tier;
import io.kvcache.spi.VariantClass;
import io.kvcache.testkit.ForwardingTier;
import io.kvcache.testkit.MemoryTier;
import io.kvcache.testkit.TestPrompt;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** What a cache learns of delays: it tells the policy, estimates by it, and goes on with it after a restart. */
class LearnedDelaysTest extends EngineTest {
  private static final EntryId SAVED = new EntryId(
      ChunkKey.of(Arrays.copyOf("kvcache delay lines".getBytes(StandardCharsets.US_ASCII), ChunkKey.BYTES)),
      VariantClass.FULL);
  private static final long READ_NANOS = 50_000_000;

  private final Scripted policy = new Scripted();
  private final TestPrompt prompt = prompt(1, 4);

  /** Takes its time for every read. */
  private Tier slow(Tier inner) {
    return new ForwardingTier(inner) {
      @Override
      public ReadResult read(EntryId id, int part, MemorySegment target, Deadline deadline) {
        clock.advance(READ_NANOS);
        return super.read(id, part, target, deadline);
      }
    };
  }

  private KvCache cacheOn(Tier tier) {
    policy.weighsDelays = true;
    return open(builder(policy, still(clock), tier));
  }

  private Duration loadEstimate(KvCache cache) {
    try (KvLease lease = prompt.acquire(cache, AcquireOptions.exact())) {
      return lease.loadEstimate();
    }
  }

  private long told(Class<?> event) {
    return policy.told.stream().filter(event::isInstance).count();
  }

  @Test
  void loadsAreLearnedToldAndKept() throws Exception {
    MemoryTier ssd = tier("ssd", DISK, 80);
    KvCache cache = cacheOn(slow(ssd));
    prompt.store(cache);
    long before = told(LoadDelay.class);
    Duration guessed = loadEstimate(cache);
    for (int load = 0; load < 40; load++) {
      prompt.find(cache);
    }
    Duration learned = loadEstimate(cache);
    assertTrue(learned.compareTo(guessed.multipliedBy(2)) > 0, guessed + " became " + learned);
    assertTrue(told(LoadDelay.class) > before, "the policy is told");
    cache.flush();
    assertTrue(ssd.holds(SAVED));
    close(ssd);
    policy.told.clear();
    MemoryTier again = checked(ssd.reopen());
    assertEquals(learned.toNanos(), loadEstimate(cacheOn(slow(again))).toNanos(), learned.toNanos() / 100.0);
    assertTrue(told(LoadDelay.class) > 0);
    assertTrue(events(Corrupt.class).isEmpty());
  }

  @Test
  void damagedLinesAreCountedAndLeftAside() throws Exception {
    MemoryTier ssd = tier("ssd", DISK, 80);
    KvCache cache = cacheOn(slow(ssd));
    prompt.store(cache);
    Duration guessed = loadEstimate(cache);
    for (int load = 0; load < 40; load++) {
      prompt.find(cache);
    }
    cache.flush();
    ssd.flip(SAVED, 0, 20, 3);
    close(ssd);
    MemoryTier again = checked(ssd.reopen());
    KvCache next = cacheOn(slow(again));
    assertEquals(1, next.stats().tiers().getFirst().corruptChunks());
    assertEquals(1, events(Corrupt.class).size());
    assertTrue(loadEstimate(next).compareTo(guessed.multipliedBy(2)) < 0, "nothing of it is used");
    assertEquals(4, prompt.find(next));
    next.flush();
    assertTrue(again.holds(SAVED), "saved anew");
  }

  @Test
  void whoDoesNotWeighDelaysLeavesNoEntry() throws Exception {
    MemoryTier ssd = tier("ssd", DISK, 80);
    KvCache cache = open(builder(policy, still(clock), ssd));
    prompt.store(cache);
    cache.flush();
    assertEquals(4, ssd.usage().entries());
    assertEquals(4, cache.clear(NAMESPACE));
    assertEquals(0, ssd.usage().usedBytes());
  }

  @Test
  void computingIsEstimatedOnceSomeoneSaidHowLongItTakes() {
    KvCache cache = cacheOn(tier("ssd", DISK, 80));
    prompt.store(cache);
    try (KvLease lease = prompt.acquire(cache, AcquireOptions.exact())) {
      assertEquals(Optional.empty(), lease.recomputeEstimate());
      assertEquals(0, told(RecomputeDelay.class));
      for (int report = 0; report < 60; report++) {
        cache.reserve(NAMESPACE, prompt.tokens(), StoreOptions.defaults().prefillTime(Duration.ofMillis(640)))
            .close();
        try (KvReservation half = cache.reserve(NAMESPACE, prompt.start(2).tokens(),
            StoreOptions.defaults().prefillTime(Duration.ofMillis(320)))) {
          assertEquals(KvReservation.Status.STORED, half.status());
        }
      }
      assertEquals(0.64, lease.recomputeEstimate().orElseThrow().toNanos() / 1e9, 0.1);
    }
    assertTrue(told(RecomputeDelay.class) > 0);
  }
}
