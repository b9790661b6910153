package io.kvcache.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.kvcache.CacheEvent;
import io.kvcache.KvCache;
import io.kvcache.KvCache.Flushed;
import io.kvcache.KvShape;
import io.kvcache.placement.LruPlacement;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.Tier;
import io.kvcache.testkit.MemoryTier;
import io.kvcache.testkit.TrailingZerosCompressor;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;

/** Codecs that are not there any more, or do what they should not. */
class CodecTest extends EngineTest {
  /** Raw in memory, encoded on disk. */
  private static LruPlacement encoding() {
    return LruPlacement.withCodecs(0, TrailingZerosCompressor.CODEC);
  }

  /** Breaks the contract: a decoder may only say that data is malformed. */
  private static final class Throwing extends TrailingZerosCompressor {
    @Override
    public void decompress(KvShape shape, int parameters, MemorySegment stored, MemorySegment target) {
      throw new IndexOutOfBoundsException("a bug");
    }
  }

  private KvCache openWith(LruPlacement policy, Compressor[] compressors, Tier... tiers) {
    var builder = KvCache.builder(LAYOUT)
        .compressors(compressors)
        .policy(policy)
        .listener(events::add)
        .runtime(still(clock));
    for (Tier tier : tiers) {
      builder.tier(tier);
    }
    return open(builder);
  }

  @Test
  void flushDoesNotPromiseWhatNobodyHereCanRead() throws Exception {
    MemoryTier ssd = tier("ssd", DISK, 20);
    KvCache cache = openStill(encoding(), tier("dram", MEMORY, 20), ssd);
    prompt(1, 2).store(cache);
    assertEquals(new Flushed(2, 0), cache.flush());
    close(ssd);

    Compressor[] none = {};
    MemoryTier reopened = checked(ssd.reopen());
    KvCache without = openWith(LruPlacement.raw(), none, tier("dram", MEMORY, 20), reopened);
    assertEquals(0, prompt(1, 2).find(without));
    prompt(1, 2).store(without);
    assertEquals(new Flushed(2, 0), without.flush());
    close(reopened);

    KvCache again = openWith(LruPlacement.raw(), none, tier("dram", MEMORY, 20), checked(reopened.reopen()));
    assertEquals(2, prompt(1, 2).find(again));
  }

  @Test
  void codecThatThrowsIsACountedMiss() throws Exception {
    MemoryTier ssd = tier("ssd", DISK, 20);
    KvCache cache = openStill(encoding(), tier("dram", MEMORY, 20), ssd);
    prompt(1, 2).store(cache);
    cache.flush();
    close(ssd);

    Compressor[] throwing = {new Throwing()};
    KvCache broken = openWith(LruPlacement.raw(), throwing, checked(ssd.reopen()));
    assertEquals(0, prompt(1, 2).find(broken));
    assertEquals(1, events(CacheEvent.Corrupt.class).size());
  }
}
