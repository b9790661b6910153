package io.kvcache.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.AcquireOptions;
import io.kvcache.CacheEvent;
import io.kvcache.CacheEvent.DropCause;
import io.kvcache.CacheStats.TierStats;
import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.KvCache;
import io.kvcache.KvCacheBuilder;
import io.kvcache.KvLease;
import io.kvcache.KvReservation.Status;
import io.kvcache.Namespace;
import io.kvcache.NamespaceLimits;
import io.kvcache.StoreOptions;
import io.kvcache.internal.frame.EntryNote;
import io.kvcache.placement.LruPlacement;
import io.kvcache.spi.Deadline;
import io.kvcache.spi.TierEntry;
import io.kvcache.spi.TierTrait;
import io.kvcache.testkit.MemoryTier;
import io.kvcache.testkit.TestPrompt;
import io.kvcache.testkit.TrailingZerosCompressor;
import io.kvcache.testkit.TruncatingCompressor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What has a time to live is found until that is over, and never after; what else happens to it does not matter. */
class TimeToLiveTest extends EngineTest {
  private static final StoreOptions TEN_SECONDS = StoreOptions.defaults().timeToLive(Duration.ofSeconds(10));
  /** Of the expiry in a frame's header; see FORMAT.md. */
  private static final int EXPIRY_AT = 192;
  private static final ValueLayout.OfLong LONG =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private void later(long millis) {
    clock.advance(TimeUnit.MILLISECONDS.toNanos(millis));
  }

  private static TierStats tier(KvCache cache, int index) {
    TierStats stats = cache.stats().tiers().get(index);
    assertEquals(0, stats.corruptChunks() + stats.missingChunks() + stats.errors(), stats::toString);
    return stats;
  }

  @Test
  void isFoundUntilItsTimeIsOver() {
    KvCache cache = openStill(LruPlacement.raw(), tier("dram", MEMORY, 20), tier("ssd", DISK, 20));
    TestPrompt prompt = prompt(1, 3);
    assertEquals(Status.RESERVED, prompt.store(cache, TEN_SECONDS));
    prompt(2, 2).store(cache);
    later(9_999);
    assertEquals(3, prompt.find(cache));
    later(1);
    assertEquals(0, prompt.find(cache));
    assertEquals(2, prompt(2, 2).find(cache), "has no time to live");
    background.runAll();
    assertEquals(3, tier(cache, 0).expiredChunks());
    assertEquals(2, tier(cache, 0).entries());
    assertEquals(2, cache.stats().chunks());
    assertEquals(0, tier(cache, 0).evictedChunks());
    List<CacheEvent.Dropped> dropped = events(CacheEvent.Dropped.class);
    assertEquals(3, dropped.stream().mapToInt(CacheEvent.Dropped::chunks).sum());
    assertTrue(dropped.stream().allMatch(each -> each.cause() == DropCause.EXPIRED), dropped::toString);
  }

  @Test
  void isTheNamespacesWhereTheStoreDoesNotSay() {
    Namespace other = NAMESPACE.withTenant(new byte[] {1});
    KvCacheBuilder builder = builder(LruPlacement.raw(), still(clock), tier("dram", MEMORY, 20))
        .limits(namespace -> namespace.equals(other) ? NamespaceLimits.none()
            : NamespaceLimits.none().timeToLive(Duration.ofSeconds(5)));
    KvCache cache = open(builder);
    prompt(1, 2).store(cache);
    prompt(2, 2).store(cache, TEN_SECONDS);
    TestPrompt.of(other, 3, 2).store(cache);
    later(5_000);
    assertEquals(0, prompt(1, 2).find(cache));
    assertEquals(2, prompt(2, 2).find(cache));
    later(5_000);
    assertEquals(0, prompt(2, 2).find(cache));
    assertEquals(2, TestPrompt.of(other, 3, 2).find(cache));
  }

  /** Whether the tier is memory or not: what is stored anew is not hit by the removal of what it replaces. */
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void isStoredAnewOnceItsTimeIsOver(boolean swept) {
    for (MemoryTier only : List.of(tier("dram", MEMORY, 20), tier("ssd", DISK, 20))) {
      KvCache cache = openStill(LruPlacement.raw(), only);
      TestPrompt prompt = prompt(1, 3);
      prompt.store(cache, TEN_SECONDS);
      later(6_000);
      assertEquals(Status.RESERVED, prompt.then(2, 2).store(cache, TEN_SECONDS));
      later(4_000);
      if (swept) {
        prompt.find(cache);
        background.runAll();
      }
      assertEquals(Status.RESERVED, prompt.store(cache, TEN_SECONDS));
      assertEquals(Status.STORED, prompt.store(cache, TEN_SECONDS));
      background.runAll();
      assertEquals(3, prompt.find(cache));
      assertEquals(tier(cache, 0).entries(), cache.stats().chunks());
      later(9_999);
      assertEquals(3, prompt.find(cache));
      later(1);
      assertEquals(0, prompt.find(cache));
      close(only);
    }
  }

  /** A lease is not revoked; but what it has not looked at by then it does not get. */
  @Test
  void leaseGetsNoMoreThanWhatItHasSeenBefore() {
    MemoryTier ssd = tier("ssd", DISK, 20);
    KvCache cache = openStill(LruPlacement.raw(), ssd);
    TestPrompt prompt = prompt(1, 2);
    prompt.store(cache, TEN_SECONDS);
    AcquireOptions patient = AcquireOptions.exact().deadline(Duration.ofMinutes(1));
    try (KvLease lease = prompt.acquire(cache, patient); KvLease seen = prompt.acquire(cache, patient)) {
      assertEquals(prompt.length(), prompt.read(seen));
      later(10_000);
      background.runAll();
      prompt.find(cache);
      background.runAll();
      assertEquals(prompt.length(), prompt.read(seen), "is swept only when nobody holds it");
      assertEquals(0, prompt.read(lease));
    }
    prompt.find(cache);
    background.runAll();
    assertEquals(2, tier(cache, 0).expiredChunks());
    assertEquals(0, ssd.usage().entries());
  }

  /** Goal: a frame that has expired is a miss of its own kind, whatever the tier's index says. */
  @Test
  void frameThatHasExpiredIsNotCorrupt() throws Exception {
    for (boolean inPlace : new boolean[] {false, true}) {
      MemoryTier tier = checked(new MemoryTier("tier", 20 * CHUNK_ROOM,
          inPlace ? Set.of(TierTrait.DURABLE, TierTrait.ADDRESSABLE) : DISK));
      KvCache cache = openStill(LruPlacement.raw(), tier);
      TestPrompt prompt = prompt(1, 2);
      prompt.store(cache, TEN_SECONDS);
      close(tier);
      MemoryTier reopened = checked(tier.reopen());
      for (TierEntry entry : entries(reopened)) {
        reopened.annotate(Map.of(entry.id(), withoutExpiry(EntryNote.decode(entry.note())).encode()));
      }
      later(10_000);
      KvCache next = openStill(LruPlacement.raw(), reopened);
      assertEquals(2, next.stats().chunks());
      assertEquals(0, prompt.find(next));
      assertEquals(0, prompt.find(next));
      assertEquals(1, tier(next, 0).expiredChunks(), "the first; the other one nobody has looked at");
      assertEquals(List.of(), events(CacheEvent.Corrupt.class));
      assertEquals(1, reopened.usage().entries());
      close(reopened);
    }
  }

  private static EntryNote withoutExpiry(EntryNote note) {
    return new EntryNote(note.root(), note.previous(), note.chunkIndex(), note.generation(), note.encoding(),
        note.bytes(), note.lastUseMillis(), note.frequency(), note.uses(), 0, note.scored(), note.profile());
  }

  private static List<TierEntry> entries(MemoryTier tier) {
    List<TierEntry> all = new ArrayList<>();
    tier.inventory(all::add);
    return all;
  }

  private void requireExpiry(MemoryTier tier, int entries, long expiry) throws Exception {
    assertEquals(entries, entries(tier).size());
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment header = arena.allocate(1 << 16, 64);
      for (TierEntry entry : entries(tier)) {
        assertEquals(expiry, EntryNote.decode(entry.note()).expiryMillis());
        tier.read(entry.id(), 0, header, Deadline.never());
        assertEquals(expiry, header.get(LONG, EXPIRY_AT));
      }
    }
  }

  @Test
  void staysTheSameWhateverIsDoneWithTheChunks() throws Exception {
    MemoryTier dram = tier("dram", MEMORY, 20);
    MemoryTier ssd = tier("ssd", DISK, 20);
    Encoding packed = Encoding.of(TrailingZerosCompressor.CODEC);
    Encoding lossy = Encoding.of(TruncatingCompressor.CODEC);
    Encoding pruned = lossy.keeping(DropMethod.KNORM, 50);
    Scripted policy = new Scripted(pruned);
    KvCache cache = openStill(policy, dram, ssd);
    TestPrompt prompt = prompt(1, 3);
    long expiry = wallMillis + 10_000;
    prompt.store(cache, TEN_SECONDS);
    later(1_000);
    requireExpiry(dram, 3, expiry);
    for (Encoding each : List.of(packed, lossy, pruned)) {
      policy.reencode(0, each, false);
      cache.prefetch(NAMESPACE, prompt.tokens());
      background.runAll();
      requireExpiry(dram, 3, expiry);
    }
    policy.persisted = pruned;
    cache.flush();
    requireExpiry(ssd, 3, expiry);
    AcquireOptions anything = AcquireOptions.any().acceptingPruned();
    later(8_999);
    assertEquals(3, prompt.find(cache, anything));
    later(1);
    assertEquals(0, prompt.find(cache, anything));
    background.runAll();
    assertEquals(0, dram.usage().entries() + ssd.usage().entries());
    assertEquals(3, tier(cache, 0).expiredChunks());
    assertEquals(3, tier(cache, 1).expiredChunks());
  }

  @Test
  void survivesARestart() {
    MemoryTier ssd = tier("ssd", DISK, 20);
    KvCache cache = openStill(LruPlacement.raw(), ssd);
    prompt(1, 2).store(cache, TEN_SECONDS);
    prompt(2, 3).store(cache, StoreOptions.defaults().timeToLive(Duration.ofSeconds(20)));
    prompt(3, 1).store(cache);
    close(ssd);
    later(10_000);
    events.clear();
    MemoryTier reopened = checked(ssd.reopen());
    KvCache next = openStill(LruPlacement.raw(), reopened);
    assertEquals(4, reopened.usage().entries(), "what has expired goes at the opening");
    assertEquals(2, tier(next, 0).expiredChunks());
    assertEquals(List.of(new CacheEvent.Dropped("ssd", 2, DropCause.EXPIRED)),
        events(CacheEvent.Dropped.class));
    assertEquals(3, prompt(2, 3).find(next));
    later(10_000);
    assertEquals(0, prompt(2, 3).find(next));
    assertEquals(1, prompt(3, 1).find(next));
    background.runAll();
    assertEquals(1, reopened.usage().entries());
  }

  /** A system prompt that is kept for long is continued by what is not, and found without it. */
  @Test
  void continuationDoesNotShortenWhatItFollows() throws Exception {
    MemoryTier ssd = tier("ssd", DISK, 40);
    KvCache cache =
        open(builder(LruPlacement.raw(), still(clock), tier("dram", MEMORY, 40), ssd).segmentChunks(64));
    TestPrompt start = prompt(1, 3);
    TestPrompt whole = start.then(2, 3);
    start.store(cache, StoreOptions.defaults().timeToLive(Duration.ofSeconds(60)));
    whole.store(cache, TEN_SECONDS);
    assertEquals(2, cache.stats().segments());
    cache.flush();
    close(ssd);
    MemoryTier reopened = checked(ssd.reopen());
    KvCache next =
        open(builder(LruPlacement.raw(), still(clock), tier("dram", MEMORY, 40), reopened).segmentChunks(64));
    assertEquals(6, whole.find(next));
    background.runAll();
    later(10_000);
    assertEquals(3, whole.find(next));
    later(50_000);
    assertEquals(0, whole.find(next));
  }

  /** A conversation that grows is one segment all the same, and goes when its beginning does. */
  @Test
  void whatFollowsGoesWithWhatItFollows() {
    KvCache cache = open(
        builder(LruPlacement.raw(), still(clock), tier("dram", MEMORY, 40)).segmentChunks(64));
    prompt(1, 2).store(cache, TEN_SECONDS);
    later(5_000);
    prompt(1, 2).then(2, 2).store(cache, TEN_SECONDS);
    assertEquals(1, cache.stats().segments());
    later(5_000);
    assertEquals(0, prompt(1, 2).then(2, 2).find(cache));
    background.runAll();
    assertEquals(0, cache.stats().chunks());
  }

  @Test
  void expiredMakesRoomBeforeAnythingElseDoes() {
    KvCache cache = openStill(LruPlacement.raw(), tier("dram", MEMORY, 5));
    prompt(1, 2).store(cache);
    clock.advance(1);
    prompt(2, 3).store(cache, TEN_SECONDS);
    later(10_000);
    assertEquals(Status.RESERVED, prompt(3, 3).store(cache));
    assertEquals(2, prompt(1, 2).find(cache), "used less recently, but not expired");
    assertEquals(3, tier(cache, 0).expiredChunks());
    assertEquals(0, tier(cache, 0).evictedChunks());
  }

  @Test
  void clockThatJumpsDoesNoHarm() throws Exception {
    MemoryTier ssd = tier("ssd", DISK, 40);
    KvCache cache = openStill(LruPlacement.raw(), tier("dram", MEMORY, 20), ssd);
    prompt(1, 2).store(cache, TEN_SECONDS);
    long right = wallMillis;
    wallMillis -= Duration.ofDays(1).toMillis();
    assertEquals(2, prompt(1, 2).find(cache));
    prompt(2, 2).store(cache, TEN_SECONDS);
    wallMillis = -5_000;
    prompt(3, 2).store(cache, StoreOptions.defaults().timeToLive(Duration.ofMillis(1)));
    assertEquals(2, prompt(3, 2).find(cache));
    cache.flush();
    wallMillis = Long.MAX_VALUE / 2_000_000;
    prompt(4, 2).store(cache, StoreOptions.defaults().timeToLive(Duration.ofMillis(Long.MAX_VALUE - 1)));
    assertEquals(2, prompt(4, 2).find(cache), "for ever");
    wallMillis = right;
    assertEquals(2, prompt(1, 2).find(cache));
    assertEquals(0, prompt(2, 2).find(cache) + prompt(3, 2).find(cache));
    wallMillis += Duration.ofDays(1).toMillis();
    assertEquals(0, prompt(1, 2).find(cache));
    background.runAll();
    cache.flush();
    close(ssd);
    wallMillis = -5_000;
    assertEquals(2, prompt(4, 2).find(openStill(LruPlacement.raw(), checked(ssd.reopen()))));
  }
}
