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
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Damage in place, in every tier and encoding: a counted miss, an event, the entry removed; never a wrong
 * byte.
 */
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
  void aDamagedBitOfEveryByteIsRightOrAMiss(Case each) {
    damageBits(each, Byte.SIZE + 1);
  }

  @ParameterizedTest
  @MethodSource("cases")
  @Tag("long")
  void everyDamagedBitIsRightOrAMiss(Case each) {
    damageBits(each, 1);
  }

  private void damageBits(Case each, int step) {
    MemoryTier tier = tier("medium", each.traits, 4);
    KvCache cache = openStill(LruPlacement.withCodecs(each.codec), tier);
    TestPrompt prompt = prompt(1, 1);
    int misses = 0;
    int checked = 0;
    for (int part = 0; part < PARTS; part++) {
      prompt.store(cache);
      long bits = tier.partBytes(prompt.entry(0), part) * Byte.SIZE;
      for (long bit = 0; bit < bits; bit += step) {
        prompt.store(cache);
        tier.flip(prompt.entry(0), part, bit / Byte.SIZE, (int) (bit % Byte.SIZE));
        int found = prompt.find(cache);
        if (found == 0) {
          misses++;
          assertFalse(tier.holds(prompt.entry(0)), "a damaged entry stayed");
        } else {
          tier.flip(prompt.entry(0), part, bit / Byte.SIZE, (int) (bit % Byte.SIZE)); // in a gap between halves
        }
        checked++;
      }
    }
    assertEquals(misses, cache.stats().tiers().getFirst().corruptChunks());
    assertEquals(misses, events(CacheEvent.Corrupt.class).size());
    int gaps = 2 * LAYOUT.layers().size() * 63 * Byte.SIZE / step;
    assertTrue(misses >= checked - gaps, misses + " misses in " + checked);
    assertEquals(0, cache.stats().tiers().getFirst().errors());
  }

  @ParameterizedTest
  @MethodSource("cases")
  void partsCutShortAtAnyLengthAreMisses(Case each) {
    MemoryTier tier = tier("medium", each.traits, 4);
    KvCache cache = openStill(LruPlacement.withCodecs(each.codec), tier);
    TestPrompt prompt = prompt(1, 1);
    int cut = 0;
    for (int part = 0; part < PARTS; part++) {
      prompt.store(cache);
      byte[] whole = tier.part(prompt.entry(0), part);
      for (int length = 0; length < whole.length; length++) {
        prompt.store(cache);
        tier.overwrite(prompt.entry(0), part, Arrays.copyOf(whole, length));
        assertEquals(0, prompt.find(cache), "part " + part + " cut to " + length);
        cut++;
      }
    }
    assertEquals(cut, cache.stats().tiers().getFirst().corruptChunks());
  }

  /** Goal: a right checksum is not enough. Method: another chunk's part, or the same chunk's of an earlier store. */
  @ParameterizedTest
  @MethodSource("cases")
  void partsOfOthersAndOfEarlierAreMisses(Case each) {
    MemoryTier tier = tier("medium", each.traits, 20);
    KvCache cache = openStill(LruPlacement.withCodecs(each.codec), tier);
    List<TestPrompt> prompts = List.of(prompt(1, 1), prompt(2, 1), prompt(3, 1), prompt(4, 1));
    for (TestPrompt victim : prompts) {
      for (TestPrompt other : prompts) {
        for (int swapped = 1; swapped < 1 << PARTS; swapped++) {
          for (TestPrompt prompt : prompts) {
            prompt.store(cache);
          }
          byte[][] foreign = {tier.part(other.entry(0), 0), tier.part(other.entry(0), 1)};
          if (other == victim) {
            assertEquals(1, remove(cache, victim));
            victim.store(cache);
          }
          boolean fits = true;
          for (int part = 0; part < PARTS; part++) {
            fits &= foreign[part].length <= tier.partBytes(victim.entry(0), part);
          }
          for (int part = 0; part < PARTS && fits; part++) {
            if ((swapped >> part & 1) != 0) {
              tier.overwrite(victim.entry(0), part, foreign[part]);
            }
          }
          assertEquals(fits ? 0 : 1, victim.find(cache),
              victim.entry(0) + " with parts " + swapped + " of another");
        }
      }
    }
  }

  private static int remove(KvCache cache, TestPrompt prompt) {
    try {
      return cache.remove(prompt.namespace(), prompt.tokens());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
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
