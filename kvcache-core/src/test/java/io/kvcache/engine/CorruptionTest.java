package io.kvcache.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.AcquireOptions;
import io.kvcache.CacheEvent;
import io.kvcache.KvCache;
import io.kvcache.KvLease;
import io.kvcache.KvReservation.Status;
import io.kvcache.placement.LruPlacement;
import io.kvcache.spi.TierTrait;
import io.kvcache.testkit.MemoryTier;
import io.kvcache.testkit.TestPrompt;
import io.kvcache.testkit.TrailingZerosCompressor;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Damage in place, in every tier and encoding: a counted miss, an event, the entry removed; never a wrong byte. */
class CorruptionTest extends EngineTest {
  private static final int PARTS = 2;

  /** A kind of tier and an encoding. */
  record Case(Set<TierTrait> traits, int codec) {}

  static List<Case> cases() {
    return List.of(new Case(MEMORY, 0), new Case(MEMORY, TrailingZerosCompressor.CODEC), new Case(DISK, 0),
        new Case(DISK, TrailingZerosCompressor.CODEC));
  }

  @ParameterizedTest
  @MethodSource("cases")
  void everyDamagedByteIsRightOrAMiss(Case each) {
    MemoryTier tier = tier("medium", each.traits, 4);
    KvCache cache = openStill(LruPlacement.withCodecs(each.codec), tier);
    TestPrompt prompt = prompt(1, 1);
    int misses = 0;
    int checked = 0;
    for (int part = 0; part < PARTS; part++) {
      prompt.store(cache);
      long bytes = tier.partBytes(prompt.entry(0), part);
      for (long at = 0; at < bytes; at++) {
        prompt.store(cache);
        tier.flip(prompt.entry(0), part, at, (int) (at % Byte.SIZE));
        int found = prompt.find(cache);
        if (found == 0) {
          misses++;
          assertFalse(tier.holds(prompt.entry(0)), "a damaged entry stayed");
        } else {
          tier.flip(prompt.entry(0), part, at, (int) (at % Byte.SIZE)); // in a gap between halves
        }
        checked++;
      }
    }
    assertEquals(misses, cache.stats().tiers().getFirst().corruptChunks());
    assertEquals(misses, events(CacheEvent.Corrupt.class).size());
    int gaps = 2 * LAYOUT.layers().size() * 63;
    assertTrue(misses >= checked - gaps, misses + " misses in " + checked);
    assertEquals(0, cache.stats().tiers().getFirst().errors());
  }

  @Test
  void damageDuringALeaseIsNoticedByTheNextRead() {
    MemoryTier dram = tier("dram", MEMORY, 4);
    KvCache cache = openStill(LruPlacement.raw(), dram);
    TestPrompt prompt = prompt(1, 2);
    prompt.store(cache);
    try (KvLease lease = prompt.acquire(cache, AcquireOptions.exact())) {
      assertEquals(prompt.length(), prompt.read(lease));
      dram.flip(prompt.entry(1), 1, 70, 0);
      assertEquals(CHUNK_TOKENS, prompt.read(lease));
    }
    assertEquals(1, prompt.find(cache));
    assertEquals(Status.RESERVED, prompt.store(cache));
    assertEquals(2, prompt.find(cache));
  }

  @Test
  void damageIsNotCopied() throws Exception {
    MemoryTier dram = tier("dram", MEMORY, 10);
    MemoryTier ssd = tier("ssd", DISK, 10);
    KvCache cache = openStill(LruPlacement.raw(), dram, ssd);
    TestPrompt prompt = prompt(1, 3);
    prompt.store(cache);
    dram.flip(prompt.entry(1), 1, 100, 7);
    cache.flush();
    assertFalse(ssd.holds(prompt.entry(1)));
    assertEquals(1, events(CacheEvent.Corrupt.class).size());
    assertEquals(1, prompt.find(cache));
  }

  @Test
  void damageInOneTierIsMadeGoodByAnother() throws Exception {
    MemoryTier dram = tier("dram", MEMORY, 10);
    KvCache cache = openStill(LruPlacement.raw(), dram, tier("ssd", DISK, 10));
    TestPrompt prompt = prompt(1, 3);
    prompt.store(cache);
    cache.flush();
    dram.flip(prompt.entry(1), 0, 100, 7);
    assertEquals(1, prompt.find(cache));
    assertEquals(3, prompt.find(cache), "the copy below is fine");
    background.runAll();
    assertTrue(dram.holds(prompt.entry(1)), "copied up again");
  }

  @Test
  void entryLostByItsTierIsACountedMiss() {
    MemoryTier ssd = tier("ssd", DISK, 10);
    KvCache cache = openStill(LruPlacement.raw(), ssd);
    TestPrompt prompt = prompt(1, 3);
    prompt.store(cache);
    ssd.remove(List.of(prompt.entry(1)));
    assertEquals(1, prompt.find(cache));
    assertEquals(1, cache.stats().tiers().getFirst().missingChunks());
    assertEquals(Status.RESERVED, prompt.store(cache));
    assertEquals(3, prompt.find(cache));
  }
}
