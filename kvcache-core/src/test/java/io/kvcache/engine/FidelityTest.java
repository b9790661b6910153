package io.kvcache.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.AcquireOptions;
import io.kvcache.Fidelity;
import io.kvcache.KvCache;
import io.kvcache.KvLease;
import io.kvcache.KvReservation.Status;
import io.kvcache.StoreOptions;
import io.kvcache.placement.LruPlacement;
import io.kvcache.testkit.TestPrompt;
import io.kvcache.testkit.TrailingZerosCompressor;
import io.kvcache.testkit.TruncatingCompressor;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What was compressed with loss is never taken for what was stored. */
class FidelityTest extends EngineTest {
  private static final AcquireOptions GOOD_ENOUGH = AcquireOptions.atLeast(TruncatingCompressor.QUALITY);

  @Test
  void exactLookUpNeverFindsLossyChunks() {
    KvCache cache = openStill(LruPlacement.withCodecs(TruncatingCompressor.CODEC), tier("dram", MEMORY, 10));
    TestPrompt prompt = prompt(1, 3);
    prompt.store(cache);
    assertEquals(0, prompt.find(cache));
    assertEquals(0, prompt.find(cache, AcquireOptions.atLeast(TruncatingCompressor.QUALITY + 0.01)));
    assertEquals(3, prompt.find(cache, GOOD_ENOUGH));
    try (KvLease lease = prompt.acquire(cache, AcquireOptions.any())) {
      assertEquals(new Fidelity.Quantized(4), lease.fidelity());
      assertThrows(IllegalArgumentException.class,
          () -> lease.view(lease.runs().getFirst(), 0).getFirst().keys()
              .fill((byte) 0));
    }
  }

  @Test
  void whatIsDemotedWithLossIsFoundByThoseWhoAcceptIt() {
    KvCache cache = openStill(LruPlacement.withCodecs(0, TruncatingCompressor.CODEC), tier("dram", MEMORY, 3),
        tier("ssd", DISK, 20));
    prompt(1, 3).store(cache);
    assertEquals(Status.FULL, prompt(2, 3).store(cache));
    background.runAll();
    assertEquals(Status.RESERVED, prompt(2, 3).store(cache));
    assertEquals(0, prompt(1, 3).find(cache));
    assertEquals(3, prompt(1, 3).find(cache, GOOD_ENOUGH));
    assertEquals(3, prompt(2, 3).find(cache));
    background.runAll();
    assertEquals(3, prompt(1, 3).find(cache, GOOD_ENOUGH), "copied up as it is");
    assertEquals(0, prompt(1, 3).find(cache));
  }

  @Test
  void exactChunksEndWhereLossyOnesBegin() throws Exception {
    KvCache cache =
        openStill(LruPlacement.withCodecs(0, TruncatingCompressor.CODEC), tier("dram", MEMORY, 20),
            tier("ssd", DISK, 20));
    TestPrompt prompt = prompt(1, 2);
    prompt.store(cache);
    cache.flush();
    assertEquals(2, prompt.find(cache), "the exact chunks are still there");
    try (KvLease lease = prompt.acquire(cache, AcquireOptions.any())) {
      assertEquals(List.of("raw"), lease.runs().stream().map(KvLease.Run::codec).toList());
    }
  }

  @Test
  void storesAgainWhatIsNotGoodEnough() {
    KvCache cache = openStill(LruPlacement.withCodecs(TruncatingCompressor.CODEC), tier("dram", MEMORY, 10));
    TestPrompt prompt = prompt(1, 2);
    prompt.store(cache);
    assertEquals(Status.STORED, prompt.store(cache));
    try (var again = cache.reserve(NAMESPACE, prompt.tokens(), StoreOptions.defaults().replacingBelow(1))) {
      assertEquals(Status.RESERVED, again.status());
      assertEquals(prompt.length(), again.tokens());
      prompt.write(again);
      assertTrue(again.commit());
    }
    assertEquals(2, prompt.find(cache, AcquireOptions.any()));
    assertEquals(2, cache.stats().chunks());
  }

  @Test
  void losslessEncodingIsExact() throws Exception {
    KvCache cache = openStill(
        LruPlacement.withCodecs(TrailingZerosCompressor.CODEC, TrailingZerosCompressor.CODEC),
        tier("dram", MEMORY, 10), tier("ssd", DISK, 10));
    for (int number = 1; number < 4; number++) {
      prompt(number, 2).store(cache);
    }
    cache.flush();
    for (int number = 1; number < 4; number++) {
      assertEquals(2, prompt(number, 2).find(cache));
    }
    assertTrue(cache.stats().tiers().get(1).bytesWritten() < 6 * LAYOUT.chunkBytes() + 6 * 1024);
  }
}
