package io.kvcache.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.AcquireOptions;
import io.kvcache.CacheEvent;
import io.kvcache.CacheEvent.DropCause;
import io.kvcache.Encoding;
import io.kvcache.KvCache;
import io.kvcache.KvReservation;
import io.kvcache.KvReservation.Status;
import io.kvcache.Namespace;
import io.kvcache.NamespaceLimits;
import io.kvcache.StoreOptions;
import io.kvcache.placement.LruPlacement;
import io.kvcache.placement.UtilityPlacement;
import io.kvcache.spi.CacheRuntime;
import io.kvcache.spi.PlacementPolicy;
import io.kvcache.spi.Tier;
import io.kvcache.testkit.FaultyTier;
import io.kvcache.testkit.FaultyTier.Fault;
import io.kvcache.testkit.MemoryTier;
import io.kvcache.testkit.TestPrompt;
import io.kvcache.testkit.TruncatingCompressor;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** No tenant takes more of a tier than its quota, in any way, and none pays for another that wants to. */
class QuotaTest extends EngineTest {
  private static final Namespace OTHER = NAMESPACE.withTenant(new byte[] {1});

  private final Map<Namespace, NamespaceLimits> limits = new HashMap<>();

  /** So many chunks fit a quota, and leave so much of it that nobody is relieved in advance. */
  private void quota(Namespace namespace, int chunks) {
    limits.put(namespace, NamespaceLimits.none().quotaBytes(chunks * CHUNK_ROOM + CHUNK_ROOM / 2));
  }

  private KvCache openLimited(PlacementPolicy policy, Tier... tiers) {
    return open(builder(policy, still(clock), tiers).limits(limited()));
  }

  private Function<Namespace, NamespaceLimits> limited() {
    return namespace -> limits.getOrDefault(namespace, NamespaceLimits.none());
  }

  private static TestPrompt other(int number, int chunks) {
    return TestPrompt.of(OTHER, number, chunks);
  }

  private Status store(KvCache cache, TestPrompt prompt) {
    clock.advance(1_000_000);
    return prompt.store(cache);
  }

  @Test
  void whatExceedsItIsRefusedAndThenHasRoomMadeByTheTenantsOwn() {
    quota(NAMESPACE, 6);
    KvCache cache = openLimited(LruPlacement.raw(), tier("dram", MEMORY, 20));
    store(cache, other(9, 4));
    assertEquals(Status.RESERVED, store(cache, prompt(1, 2)));
    assertEquals(Status.RESERVED, store(cache, prompt(2, 2)));
    assertEquals(Status.RESERVED, store(cache, prompt(3, 2)));
    background.runAll();
    assertEquals(2, prompt(1, 2).find(cache), "the least recently used is now the second");
    assertEquals(Status.QUOTA, store(cache, prompt(4, 2)));
    assertEquals(1, cache.stats().quotaReservations());
    assertEquals(0, cache.stats().rejectedReservations());
    assertEquals(List.of(), events(CacheEvent.Dropped.class));
    background.runAll();
    assertEquals(Status.RESERVED, store(cache, prompt(4, 2)));
    assertEquals(List.of(0, 2, 2, 2), List.of(prompt(2, 2).find(cache), prompt(1, 2).find(cache),
        prompt(3, 2).find(cache), prompt(4, 2).find(cache)));
    assertEquals(4, other(9, 4).find(cache));
    assertEquals(2, cache.stats().tiers().getFirst().evictedChunks());
    assertTrue(events(CacheEvent.Dropped.class).stream().allMatch(each -> each.cause() == DropCause.QUOTA));
  }

  @Test
  void whatIsBeingStoredCounts() {
    quota(NAMESPACE, 6);
    KvCache cache = openLimited(LruPlacement.raw(), tier("dram", MEMORY, 20));
    try (KvReservation open = prompt(1, 4).reserve(cache)) {
      assertEquals(Status.RESERVED, open.status());
      assertEquals(Status.QUOTA, store(cache, prompt(2, 3)));
      assertEquals(Status.RESERVED, store(cache, prompt(3, 2)));
    }
    assertEquals(Status.RESERVED, store(cache, prompt(2, 3)), "what was given back is free again");
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 2})
  void whatCanNeverFitIsRefusedAtOnceAndEvictsNothing(int stored) {
    quota(NAMESPACE, 5);
    KvCache cache = openLimited(LruPlacement.raw(), tier("dram", MEMORY, 20));
    store(cache, prompt(2, 2));
    TestPrompt large = prompt(1, 6);
    if (stored > 0) {
      store(cache, large.start(stored));
    }
    StoreOptions patient = StoreOptions.defaults().waitForRoom(Duration.ofDays(1));
    assertEquals(Status.QUOTA, large.store(cache, patient));
    background.runAll();
    assertEquals(2, prompt(2, 2).find(cache));
    assertEquals(stored, large.find(cache));
    assertEquals(0, cache.stats().tiers().getFirst().evictedChunks());
  }

  @Test
  void waitsForRoomWhenAsked() {
    quota(NAMESPACE, 6);
    CacheRuntime system = CacheRuntime.system();
    KvCache cache =
        open(builder(LruPlacement.raw(), system, tier("dram", MEMORY, 20)).limits(limited()));
    for (int number = 1; number <= 3; number++) {
      assertEquals(Status.RESERVED, prompt(number, 2).store(cache));
    }
    StoreOptions patient = StoreOptions.defaults().waitForRoom(Duration.ofSeconds(20));
    for (int number = 4; number <= 12; number++) {
      assertEquals(Status.RESERVED, prompt(number, 2).store(cache, patient));
    }
    assertTrue(cache.stats().tiers().getFirst().evictedChunks() >= 12);
  }

  /** A tenant that keeps storing is relieved before it is full, once that is known, and so is hardly ever refused. */
  @Test
  void isRelievedBeforeItIsFullOnceItHasBeen() {
    limits.put(NAMESPACE, NamespaceLimits.none().quotaBytes(40 * CHUNK_ROOM));
    KvCache cache = openLimited(LruPlacement.raw(), tier("dram", MEMORY, 100));
    for (int number = 1; number <= 200; number++) {
      assertEquals(number == 41 ? Status.QUOTA : Status.RESERVED, store(cache, prompt(number, 1)),
          "prompt " + number);
      background.runAll();
      assertTrue(cache.stats().chunks() >= Math.min(number, 36), () -> cache.stats().chunks() + " chunks");
    }
    assertEquals(1, cache.stats().quotaReservations());
  }

  /** Goal: what has to make room goes to the next tier, as long as the quota there lets it. */
  @Test
  void holdsInEveryTier() {
    quota(NAMESPACE, 4);
    MemoryTier dram = tier("dram", MEMORY, 40);
    MemoryTier ssd = tier("ssd", DISK, 40);
    KvCache cache = openLimited(LruPlacement.raw(), dram, ssd);
    store(cache, other(9, 8));
    for (int number = 1; number <= 12; number++) {
      if (store(cache, prompt(number, 2)) == Status.QUOTA) {
        background.runAll();
        assertEquals(Status.RESERVED, store(cache, prompt(number, 2)));
      }
      background.runAll();
      long all = cache.stats().chunks() - 8;
      assertTrue(ssd.usage().usedBytes() <= 4 * CHUNK_ROOM, "prompt " + number);
      assertTrue(dram.usage().usedBytes() <= 12 * CHUNK_ROOM, "prompt " + number);
      assertEquals(Math.min(8, 2L * number), all, "the last four are somewhere");
    }
    for (int number = 9; number <= 12; number++) {
      assertEquals(2, prompt(number, 2).find(cache), "prompt " + number);
    }
    assertEquals(8, other(9, 8).find(cache));
  }

  @Test
  void tierThatFailsBelowDoesNotKeepRoomFromBeingMade() {
    quota(NAMESPACE, 4);
    FaultyTier failing = new FaultyTier(tier("ssd", DISK, 40), 1).set(Fault.CREATE_FAILS, 1);
    KvCache cache = openLimited(LruPlacement.raw(), tier("dram", MEMORY, 40), failing);
    store(cache, prompt(1, 2));
    store(cache, prompt(2, 2));
    assertEquals(Status.QUOTA, store(cache, prompt(3, 2)));
    background.runAll();
    assertEquals(Status.RESERVED, store(cache, prompt(3, 2)));
    assertEquals(List.of(0, 2, 2),
        List.of(prompt(1, 2).find(cache), prompt(2, 2).find(cache), prompt(3, 2).find(cache)));
  }

  @Test
  void copiesBelowCountAsWell() throws Exception {
    quota(NAMESPACE, 4);
    MemoryTier ssd = tier("ssd", DISK, 40);
    limits.put(OTHER, NamespaceLimits.none().quotaBytes(0));
    KvCache cache = openLimited(LruPlacement.raw(), tier("dram", MEMORY, 40), ssd);
    assertEquals(Status.QUOTA, store(cache, other(1, 1)), "a quota of nothing");
    for (int number = 1; number <= 6; number++) {
      store(cache, prompt(number, 2));
      background.runAll();
      store(cache, prompt(number, 2));
      cache.flush();
      assertTrue(ssd.usage().usedBytes() <= 4 * CHUNK_ROOM, "prompt " + number);
    }
    assertEquals(2, prompt(6, 2).find(cache));
    abandon();
    KvCache next = openLimited(LruPlacement.raw(), checked(ssd.crash()));
    assertEquals(2, prompt(6, 2).find(next), "the most recent are what a flush has kept");
    assertEquals(4, next.stats().chunks());
  }

  @Test
  void countsWhatARestartFindsAgain() {
    quota(NAMESPACE, 4);
    MemoryTier ssd = tier("ssd", DISK, 40);
    KvCache cache = openLimited(LruPlacement.raw(), ssd);
    store(cache, prompt(1, 2));
    store(cache, prompt(2, 2));
    close(ssd);
    MemoryTier reopened = checked(ssd.reopen());
    KvCache next = openLimited(LruPlacement.raw(), reopened);
    assertEquals(Status.QUOTA, store(next, prompt(3, 2)));
    background.runAll();
    assertEquals(Status.RESERVED, store(next, prompt(3, 2)));
    assertTrue(reopened.usage().usedBytes() <= 4 * CHUNK_ROOM);
  }

  /** Nobody knows of a namespace that nobody has named; from then on its quota holds, for promotions too. */
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void holdsAfterARestartFromTheFirstCallOn(boolean prefetching) {
    MemoryTier ssd = tier("ssd", DISK, 40);
    KvCache cache = openLimited(LruPlacement.raw(), ssd);
    for (int number = 1; number <= 6; number++) {
      store(cache, prompt(number, 2));
      store(cache, other(number, 1));
    }
    close(ssd);
    quota(NAMESPACE, 4);
    MemoryTier dram = tier("dram", MEMORY, 40);
    MemoryTier reopened = checked(ssd.reopen());
    KvCache next = openLimited(LruPlacement.raw(), dram, reopened);
    background.runAll();
    assertEquals(18, reopened.usage().entries());
    for (int number = 6; number >= 5; number--) {
      clock.advance(1_000_000);
      if (prefetching) {
        next.prefetch(NAMESPACE, prompt(number, 2).tokens());
      } else {
        assertEquals(2, prompt(number, 2).find(next));
      }
      background.runAll();
    }
    assertEquals(4 + 6, reopened.usage().entries());
    for (int round = 0; round < 3; round++) {
      for (int number = 5; number <= 6; number++) {
        clock.advance(1_000_000);
        prompt(number, 2).find(next);
        background.runAll();
        assertTrue(dram.usage().usedBytes() <= 4 * CHUNK_ROOM);
      }
    }
    assertEquals(4, prompt(5, 2).find(next) + prompt(6, 2).find(next));
    for (int number = 1; number <= 6; number++) {
      assertEquals(1, other(number, 1).find(next));
    }
  }

  @Test
  void smallerOneIsKeptToAndALargerOneCounts() {
    quota(NAMESPACE, 8);
    KvCache cache = openLimited(LruPlacement.raw(), tier("dram", MEMORY, 40));
    for (int number = 1; number <= 4; number++) {
      store(cache, prompt(number, 2));
    }
    quota(NAMESPACE, 4);
    assertEquals(Status.QUOTA, store(cache, prompt(5, 2)));
    background.runAll();
    assertEquals(Status.RESERVED, store(cache, prompt(5, 2)));
    assertEquals(4, cache.stats().chunks());
    quota(NAMESPACE, 6);
    assertEquals(Status.RESERVED, store(cache, prompt(6, 2)));
    limits.remove(NAMESPACE);
    assertEquals(Status.RESERVED, store(cache, prompt(7, 20)));
    assertEquals(26, cache.stats().chunks());
  }

  /** Encoding anew needs no room but what it leaves, where the new one is stored first as well. */
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void fullOneLetsItsOwnBeEncodedAnewInPlace(boolean durable) {
    limits.put(NAMESPACE, NamespaceLimits.none().quotaBytes(4 * CHUNK_ROOM));
    Scripted policy = new Scripted();
    MemoryTier tier = tier("tier", durable ? DISK : MEMORY, 40);
    KvCache cache = openLimited(policy, tier);
    TestPrompt prompt = prompt(1, 4);
    store(cache, prompt);
    policy.reencode(0, Encoding.of(TruncatingCompressor.CODEC), false);
    cache.prefetch(NAMESPACE, prompt.tokens());
    policy.onHit = segment -> null;
    background.runAll();
    assertEquals(4, prompt.find(cache, AcquireOptions.any()));
    assertTrue(tier.usage().usedBytes() < 4 * CHUNK_ROOM);
    assertEquals(4, events(CacheEvent.Reencoded.class).stream()
        .mapToInt(CacheEvent.Reencoded::chunks).sum());
  }

  @Test
  void limitsThatCannotBeToldAreTheCallersAffair() {
    RuntimeException trouble = new IllegalStateException("no such tenant");
    boolean[] known = {true};
    KvCache cache = open(builder(LruPlacement.raw(), still(clock), tier("dram", MEMORY, 20)).limits(each -> {
      if (!known[0]) {
        throw trouble;
      }
      return each.equals(OTHER) ? null : NamespaceLimits.none();
    }));
    store(cache, prompt(1, 2));
    assertEquals("limits of a namespace",
        assertThrows(NullPointerException.class, () -> other(1, 1).store(cache)).getMessage());
    known[0] = false;
    assertEquals(trouble, assertThrows(IllegalStateException.class, () -> prompt(2, 2).store(cache)));
    assertEquals(2, prompt(1, 2).find(cache), "look-ups go on");
    cache.prefetch(NAMESPACE, prompt(1, 2).tokens());
    assertEquals(2, cache.stats().pluginFailures());
  }

  /** What the attacker gets with a quota, and, so that this shows anything, what it would do without. */
  @ParameterizedTest
  @ValueSource(strings = {"lru, one tier", "lru, two tiers", "utility, two tiers"})
  void attackerWhoStoresAHundredTimesItsQuotaCostsTheVictimNothing(String how) {
    assertEquals(8, chunksLeftToTheVictim(how, true));
    assertTrue(chunksLeftToTheVictim(how, false) < 8, "without a quota nothing is at stake");
  }

  private int chunksLeftToTheVictim(String how, boolean limited) {
    int quota = 10;
    limits.clear();
    if (limited) {
      quota(NAMESPACE, quota);
      quota(OTHER, quota);
    }
    PlacementPolicy policy =
        how.startsWith("lru") ? LruPlacement.raw() : UtilityPlacement.builder().alpha(1).build();
    MemoryTier dram = tier("dram", MEMORY, 24);
    MemoryTier ssd = tier("ssd", DISK, 24);
    KvCache cache = how.endsWith("one tier") ? openLimited(policy, dram) : openLimited(policy, dram, ssd);
    for (int number = 1; number <= 4; number++) {
      assertEquals(Status.RESERVED, store(cache, prompt(number, 2)));
    }
    int least = 8;
    int stored = 0;
    for (int number = 1; stored < 100 * quota; number++) {
      for (int attempt = 0; attempt < 3; attempt++) {
        if (store(cache, other(number, 2)) == Status.RESERVED) {
          attempt = 3;
        }
        background.runAll();
      }
      stored += 2;
      if (number % 25 == 0) {
        int found = 0;
        for (int own = 1; own <= 4; own++) {
          found += prompt(own, 2).find(cache);
          background.runAll();
        }
        least = Math.min(least, found);
      }
    }
    close(dram);
    return least;
  }
}
