package io.kvcache.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.AcquireOptions;
import io.kvcache.KvCache;
import io.kvcache.KvLayout;
import io.kvcache.KvLease;
import io.kvcache.LayerSpec;
import io.kvcache.Namespace;
import io.kvcache.testkit.BlockingTier;
import io.kvcache.testkit.LeakCheck;
import io.kvcache.testkit.MemoryTier;
import io.kvcache.testkit.TestPrompt;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Four buffers for everyone: whoever waits gets one in time, and none is lost. */
@Timeout(120)
class ReadBufferTest {
  /** Three layers a part, so that buffers are worth keeping from one layer to the next. */
  private static final KvLayout LARGE = new KvLayout(Collections.nCopies(4, LayerSpec.opaque(25_600)), 16);
  private static final Namespace NAMESPACE = Namespace.of("large", LARGE);
  private static final int CHUNKS = 6;
  private static final int READERS = 4;
  private static final long LAYER_BYTES = CHUNKS * 16 * 25_600L;

  private final MemoryTier ssd = new MemoryTier("ssd", 64 << 20, EngineTest.DISK);
  private final BlockingTier slow = new BlockingTier(ssd);
  private final TestPrompt prompt = TestPrompt.of(NAMESPACE, 1, CHUNKS);

  private KvCache open() {
    KvCache cache = KvCache.builder(LARGE).tier(slow).stagingBytes(1 << 20).open();
    prompt.store(cache);
    return cache;
  }

  @Test
  void readersShareBuffersWithoutMisses() throws Exception {
    KvCache cache = open();
    List<CompletableFuture<Integer>> found = new ArrayList<>();
    for (int reader = 0; reader < READERS; reader++) {
      found.add(EngineTest.elsewhere(() -> prompt.find(cache) + prompt.find(cache)));
    }
    for (CompletableFuture<Integer> each : found) {
      assertEquals(2 * CHUNKS, each.get(60, TimeUnit.SECONDS));
    }
    LeakCheck.close(cache, ssd);
  }

  @Test
  void idleLeaseLeavesBuffersToOthers() {
    KvCache cache = open();
    MemorySegment rows = MemorySegment.ofArray(new byte[(int) LAYER_BYTES]);
    try (KvLease idle = prompt.acquire(cache, AcquireOptions.exact())) {
      idle.read(0, rows, MemorySegment.NULL);
      assertTrue(cache.stats().readBuffers() > 0, "keeps some for the next layer");
      assertEquals(CHUNKS, prompt.find(cache));
      assertEquals(prompt.length(), prompt.read(idle));
    }
    LeakCheck.close(cache, ssd);
  }

  @Test
  void abandonedReadsGiveTheirBuffersBackWhenTheyEnd() {
    KvCache cache = open();
    MemorySegment rows = MemorySegment.ofArray(new byte[(int) LAYER_BYTES]);
    slow.block();
    for (int attempt = 0; attempt < 5; attempt++) {
      AcquireOptions hasty = AcquireOptions.exact().deadline(Duration.ofMillis(5));
      try (KvLease lease = prompt.acquire(cache, hasty)) {
        assertEquals(0, lease.read(0, rows, MemorySegment.NULL));
      }
    }
    assertEquals(4, cache.stats().readBuffers());
    slow.release();
    assertEquals(CHUNKS, prompt.find(cache));
    LeakCheck.close(cache, ssd);
  }
}
