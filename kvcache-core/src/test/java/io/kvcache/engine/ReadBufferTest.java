package io.kvcache.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.AcquireOptions;
import io.kvcache.KvCache;
import io.kvcache.KvLayout;
import io.kvcache.KvLease;
import io.kvcache.LayerSpec;
import io.kvcache.Namespace;
import io.kvcache.internal.memory.LargePages;
import io.kvcache.spi.CacheRuntime;
import io.kvcache.spi.Deadline;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.ReadResult;
import io.kvcache.spi.Tier;
import io.kvcache.testkit.BlockingTier;
import io.kvcache.testkit.ForwardingTier;
import io.kvcache.testkit.LeakCheck;
import io.kvcache.testkit.MemoryTier;
import io.kvcache.testkit.TestPrompt;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
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
    return open(CacheRuntime.system());
  }

  private KvCache open(CacheRuntime runtime) {
    KvCache cache = KvCache.builder(LARGE).tier(slow).stagingBytes(1 << 20).runtime(runtime).open();
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

  /** Goal: the medium works while the engine computes a group's layers, and nothing is read twice. */
  @Test
  void nextGroupIsReadAheadWithBuffersNobodyNeeds() {
    Map<String, AtomicInteger> reads = new ConcurrentHashMap<>();
    ForwardingTier counting = new ForwardingTier(ssd) {
      @Override
      public ReadResult read(EntryId id, int part, MemorySegment target, Deadline deadline) {
        reads.computeIfAbsent("part " + part, any -> new AtomicInteger()).incrementAndGet();
        return super.read(id, part, target, deadline);
      }
    };
    KvCache cache = KvCache.builder(LARGE).tier(counting).stagingBytes(64 << 20).open();
    prompt.store(cache);
    MemorySegment rows = MemorySegment.ofArray(new byte[(int) LAYER_BYTES]);
    try (KvLease lease = prompt.acquire(cache, AcquireOptions.exact())) {
      for (int layer = 0; layer < 3; layer++) {
        assertEquals(prompt.length(), lease.read(layer, rows, MemorySegment.NULL));
        assertEquals(CHUNKS, reads.get("part 1").get());
        assertEquals(layer == 2, cache.stats().readBuffers() == 4, "after layer " + layer);
      }
      long inLargePages = cache.stats().largePageBytes();
      assertTrue(!LargePages.asked() || inLargePages >= 4 << 20, inLargePages + " bytes");
      LeakCheck.await("not read ahead", () -> reads.containsKey("part 2") && reads.get("part 2").get() == 4);
      assertEquals(prompt.length(), lease.read(3, rows, MemorySegment.NULL));
    }
    assertEquals(CHUNKS, reads.get("part 0").get());
    assertEquals(CHUNKS, reads.get("part 1").get());
    assertEquals(CHUNKS, reads.get("part 2").get());
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

  @Test
  void readsThatHaveNotBegunGiveTheirBuffersBackAtOnce() {
    KvCache cache = open(oneIoThread());
    MemorySegment rows = MemorySegment.ofArray(new byte[(int) LAYER_BYTES]);
    slow.block();
    AcquireOptions hasty = AcquireOptions.exact().deadline(Duration.ofMillis(5));
    try (KvLease lease = prompt.acquire(cache, hasty)) {
      assertEquals(0, lease.read(0, rows, MemorySegment.NULL));
    }
    assertEquals(1, cache.stats().readBuffers(), "only the read under way needs its buffer");
    slow.release();
    assertEquals(CHUNKS, prompt.find(cache));
    LeakCheck.close(cache, ssd);
  }

  private static CacheRuntime oneIoThread() {
    CacheRuntime system = CacheRuntime.system();
    ExecutorService io = Executors.newSingleThreadExecutor(Thread.ofPlatform().daemon().factory());
    return new CacheRuntime(system.nanoTime(), system.wallClock(), system.random(), io, system.background(),
        Runnable::run, () -> {
          io.shutdown();
          system.onClose().run();
        });
  }

  /** Goal: who waits for a move may hold all buffers. */
  @Test
  void moveNeedsNoneOfTheReadersBuffers() throws Exception {
    LeakCheck.close(open(), ssd);
    MemoryTier again = ssd.reopen();
    CountDownLatch gate = new CountDownLatch(1);
    MemoryTier dram = new MemoryTier("dram", 64 << 20, EngineTest.MEMORY);
    KvCache cache =
        KvCache.builder(LARGE).tier(dram).tier(new SlowForReaders(again, gate)).stagingBytes(1 << 20)
            .open();
    CompletableFuture<Integer> found = EngineTest.elsewhere(() -> prompt.find(cache));
    LeakCheck.await("not promoted while the readers' buffers are taken",
        () -> dram.usage().entries() == CHUNKS);
    assertFalse(found.isDone());
    gate.countDown();
    assertEquals(CHUNKS, found.get(60, TimeUnit.SECONDS));
    LeakCheck.close(cache, dram, again);
  }

  /** Lets leases wait for their reads, but not moves. */
  private static final class SlowForReaders extends ForwardingTier {
    private final CountDownLatch gate;

    SlowForReaders(Tier inner, CountDownLatch gate) {
      super(inner);
      this.gate = gate;
    }

    @Override
    public ReadResult read(EntryId id, int part, MemorySegment target, Deadline deadline) {
      if (Thread.currentThread().getName().startsWith("kvcache-io")) {
        try {
          gate.await();
        } catch (InterruptedException e) {
          throw new IllegalStateException("a thread of the cache was interrupted", e);
        }
      }
      return super.read(id, part, target, deadline);
    }
  }

  /** Goal: removals that wait for a move keep no reader from the disk. */
  @Test
  void removalWaitsForAMoveOnItsOwnThread() throws Exception {
    LeakCheck.close(open(), ssd);
    MemoryTier again = ssd.reopen();
    MemoryTier dram = new MemoryTier("dram", 64 << 20, EngineTest.MEMORY);
    BlockingTier slowDram = new BlockingTier(dram);
    KvCache cache = KvCache.builder(LARGE).tier(slowDram).tier(again).runtime(oneIoThread()).open();
    slowDram.block();
    assertEquals(CHUNKS, prompt.find(cache));
    slowDram.awaitCaller();
    TestPrompt unknown = TestPrompt.of(NAMESPACE, 2, 1);
    CompletableFuture<Integer> removed = new CompletableFuture<>();
    Thread remover = Thread.ofPlatform().daemon().start(() -> {
      try {
        removed.complete(cache.remove(NAMESPACE, unknown.tokens()));
      } catch (IOException | RuntimeException e) {
        removed.completeExceptionally(e);
      }
    });
    LeakCheck.await("does not wait", () -> remover.getState() == Thread.State.WAITING);
    assertEquals(CHUNKS, EngineTest.elsewhere(() -> prompt.find(cache)).get(30, TimeUnit.SECONDS));
    assertFalse(removed.isDone());
    slowDram.release();
    assertEquals(0, removed.get(30, TimeUnit.SECONDS));
    LeakCheck.close(cache, dram, again);
  }
}
