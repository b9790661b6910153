package io.kvcache.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.AcquireOptions;
import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.KvCache;
import io.kvcache.KvCacheBuilder;
import io.kvcache.KvLayout;
import io.kvcache.KvReservation.Status;
import io.kvcache.LayerSpec;
import io.kvcache.Namespace;
import io.kvcache.NamespaceLimits;
import io.kvcache.QualityProbe;
import io.kvcache.StoreOptions;
import io.kvcache.TokenScores;
import io.kvcache.Tokens;
import io.kvcache.internal.frame.EntryNote;
import io.kvcache.placement.LruPlacement;
import io.kvcache.testkit.MemoryTier;
import io.kvcache.testkit.TrailingZerosCompressor;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalDouble;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** A cache that cannot work is refused with the value and the limit; so are prompts that are not for it. */
class BuilderTest extends EngineTest {
  private static final KvLayout OTHER = LAYOUT.withChunkTokens(32);

  private static void refused(String message, Executable call) {
    assertEquals(message, assertThrows(IllegalArgumentException.class, call).getMessage());
  }

  private KvCacheBuilder some() {
    return KvCache.builder(LAYOUT).tier(tier("dram", MEMORY, 4));
  }

  @Test
  void refusesTiersThatDoNotFitTogether() {
    refused("number of tiers is 0, must be 1 to 8", () -> KvCache.builder(LAYOUT).open());
    refused("two tiers are named dram", () -> some().tier(tier("dram", DISK, 4)).open());
    KvCacheBuilder many = some();
    for (int index = 0; index < 8; index++) {
      many.tier(tier("tier-" + index, DISK, 4));
    }
    refused("number of tiers is 9, must be 1 to 8", many::open);
    refused("capacityBytes is 0, must be at least 1", () -> new MemoryTier("dram", 0, Set.of()));
  }

  @Test
  void refusesCodecsThatDoNotFitTogether() {
    refused("codec number 60001 is both trailing-zeros and trailing-zeros",
        () -> some().compressors(new TrailingZerosCompressor(), new TrailingZerosCompressor()).open());
    refused("codec 60002 is not among the cache's [0, 60001]",
        () -> some().compressors(new TrailingZerosCompressor()).policy(LruPlacement.withCodecs(60_002))
            .open());
  }

  @Test
  void refusesAbsurdSettings() {
    refused("stagingBytes is 1, must be 1048576 to 9223372036854775807", () -> some().stagingBytes(1));
    refused("nanoseconds of frequencyHalfLife is 0, must be 1 to 9223372036854775807",
        () -> some().frequencyHalfLife(Duration.ZERO));
    refused("segmentChunks is 65, must be 1 to 64", () -> some().segmentChunks(65));
    assertThrows(NullPointerException.class, () -> some().tier(null));
    assertThrows(NullPointerException.class, () -> some().policy(null));
    assertThrows(NullPointerException.class, () -> KvCache.builder(null));
  }

  @Test
  void refusesAbsurdLimits() {
    refused("quotaBytes is -1, must be 0 to 9223372036854775807",
        () -> NamespaceLimits.none().quotaBytes(-1));
    for (Duration bad : List.of(Duration.ZERO, Duration.ofNanos(999_999), Duration.ofDays(-1))) {
      String message = "timeToLive is " + bad + ", must be at least PT0.001S";
      refused(message, () -> NamespaceLimits.none().timeToLive(bad));
      refused(message, () -> StoreOptions.defaults().timeToLive(bad));
    }
    refused("timeToLive is PT-1S, must be at least PT0.001S",
        () -> new NamespaceLimits(Duration.ofSeconds(-1), 0));
    refused("timeToLive is PT-1S, must be at least PT0.001S",
        () -> new StoreOptions(0, Duration.ZERO, Duration.ZERO, TokenScores.none(), Duration.ofSeconds(-1)));
    assertThrows(NullPointerException.class, () -> some().limits(null));
    NamespaceLimits most =
        NamespaceLimits.none().quotaBytes(0).timeToLive(Duration.ofSeconds(Long.MAX_VALUE));
    assertEquals(0, most.quotaBytes());
  }

  @Test
  void segmentsAreAsLongAsChosen() {
    KvCache byTier = open(tier("dram", MEMORY, 16));
    assertEquals(Status.RESERVED, prompt(1, 6).store(byTier));
    assertTrue(byTier.stats().segments() >= 3, "an eighth of 16 chunks is 2: " + byTier.stats().segments());
    try (KvCache chosen = KvCache.builder(LAYOUT).tier(tier("dram", MEMORY, 16)).segmentChunks(6).open()) {
      assertEquals(Status.RESERVED, prompt(1, 6).store(chosen));
      assertEquals(1, chosen.stats().segments());
    }
  }

  @Test
  void refusesProbesThatCannotBeAskedAndShortfallsThatAreNone() {
    QualityProbe probe = (context, exact, lossy) -> OptionalDouble.empty();
    refused("milliseconds of the probe's timeout is 0, must be 1 to 9223372036854775807",
        () -> some().probe(probe, Duration.ofNanos(999_999)));
    assertThrows(NullPointerException.class, () -> some().probe(null, Duration.ofSeconds(1)));
    for (double bad : new double[] {-0.01, 1.01, Double.NaN}) {
      refused("reprofileBelow is " + bad + ", must be 0 to 1", () -> some().reprofileBelow(bad));
    }
    some().reprofileBelow(0).reprofileBelow(1).probe(probe, Duration.ofMillis(1));
  }

  @Test
  void refusesCandidatesThatCannotBeStored() {
    Encoding unknown = Encoding.of(7);
    refused("the cache cannot store the candidate " + unknown,
        () -> some().policy(new Scripted(unknown)).open());
    KvLayout opaque = new KvLayout(List.of(LayerSpec.opaque(64)), 16);
    Encoding dropping = Encoding.RAW.keeping(DropMethod.KNORM, 50);
    refused("the cache cannot store the candidate " + dropping,
        () -> KvCache.builder(opaque).tier(tier("dram", MEMORY, 4)).policy(new Scripted(dropping)).open());
  }

  /** Each takes four bytes of an entry's note. */
  @Test
  void refusesMoreCandidatesThanANoteHolds() {
    int most = EntryNote.MAX_CANDIDATES;
    Encoding[] many = new Encoding[most + 1];
    Arrays.setAll(many, at -> Encoding.RAW.keeping(DropMethod.KNORM, 1 + at % 99));
    refused("the policy has " + many.length + " candidates, at most " + most + " can be kept with an entry",
        () -> some().policy(new Scripted(many)).open());
    open(some().policy(new Scripted(Arrays.copyOf(many, most))));
  }

  @Test
  void refusedCacheLeavesItsTiersOpen() {
    MemoryTier dram = tier("dram", MEMORY, 4);
    assertThrows(IllegalArgumentException.class,
        () -> KvCache.builder(LAYOUT).tier(dram).policy(LruPlacement.withCodecs(7)).open());
    assertEquals(0, prompt(1, 1).find(open(dram)));
  }

  @Test
  void refusesPromptsOfAnotherLayout() {
    KvCache cache = open(tier("dram", MEMORY, 4));
    Namespace other = Namespace.of("model", OTHER);
    Tokens tokens = Tokens.of(new int[64]);
    String message = "namespace has layout " + OTHER + ", the cache is for " + LAYOUT;
    refused(message, () -> cache.acquire(other, tokens, AcquireOptions.exact()));
    refused(message, () -> cache.reserve(other, tokens, StoreOptions.defaults()));
    refused(message, () -> cache.prefetch(other, tokens));
    refused(message, () -> cache.remove(other, tokens));
    refused(message, () -> cache.clear(other));
  }

  @Test
  void tierTooSmallForAChunkIsFullAndStaysSo() {
    KvCache cache = open(checked(new MemoryTier("dram", 100, MEMORY)));
    assertEquals(Status.FULL, prompt(1, 1).store(cache));
    assertEquals(0, prompt(1, 1).find(cache));
  }
}
