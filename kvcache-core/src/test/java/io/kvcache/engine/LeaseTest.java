package io.kvcache.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.AcquireOptions;
import io.kvcache.Fidelity;
import io.kvcache.KvCache;
import io.kvcache.KvHalf;
import io.kvcache.KvLease;
import io.kvcache.KvLease.KvView;
import io.kvcache.KvLease.Run;
import io.kvcache.placement.LruPlacement;
import io.kvcache.spi.TierView;
import io.kvcache.testkit.BlockingTier;
import io.kvcache.testkit.MemoryTier;
import io.kvcache.testkit.TestPrompt;
import io.kvcache.testkit.TrailingZerosCompressor;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** Leases: what they give, for how long, and what they say to misuse. */
class LeaseTest extends EngineTest {
  private static final MemorySegment BIG = MemorySegment.ofArray(new byte[1 << 16]);

  @Test
  void missIsAnEmptyLease() {
    KvCache cache = open(tier("dram", MEMORY, 10));
    try (KvLease lease = prompt(1, 3).acquire(cache, AcquireOptions.exact())) {
      assertEquals(0, lease.tokens());
      assertEquals(List.of(), lease.runs());
      assertEquals(Fidelity.EXACT, lease.fidelity());
      assertEquals(Duration.ZERO, lease.loadEstimate());
      assertFalse(lease.worthLoading(Duration.ofDays(1)));
      assertEquals(0, lease.read(0, MemorySegment.NULL, MemorySegment.NULL));
    }
  }

  @Test
  void findsTheLongestStoredPrefix() {
    KvCache cache = open(tier("dram", MEMORY, 20));
    TestPrompt shared = prompt(1, 3);
    shared.then(2, 2).store(cache);
    assertEquals(5, shared.then(2, 4).find(cache));
    assertEquals(3, shared.then(3, 2).find(cache));
    assertEquals(2, shared.start(2).find(cache));
    assertEquals(0, prompt(4, 2).find(cache));
  }

  @Test
  void runsNameTierAndCodec() throws Exception {
    MemoryTier ssd = tier("ssd", DISK, 20);
    KvCache first =
        openStill(LruPlacement.withCodecs(0, TrailingZerosCompressor.CODEC), tier("dram", MEMORY, 20), ssd);
    TestPrompt stored = prompt(1, 3);
    stored.store(first);
    first.flush();
    close(ssd);
    KvCache cache =
        openStill(LruPlacement.withCodecs(0, TrailingZerosCompressor.CODEC), tier("dram", MEMORY, 20),
            checked(ssd.reopen()));
    TestPrompt longer = stored.then(2, 2);
    longer.store(cache);
    try (KvLease lease = longer.acquire(cache, AcquireOptions.exact())) {
      Run below = lease.runs().getFirst();
      assertEquals(new Run(0, 3 * CHUNK_TOKENS, "ssd", "trailing-zeros", Fidelity.EXACT, below.storedBytes()),
          below);
      Run above = lease.runs().getLast();
      assertEquals(
          new Run(3 * CHUNK_TOKENS, 2 * CHUNK_TOKENS, "dram", "raw", Fidelity.EXACT, above.storedBytes()),
          above);
      assertTrue(below.storedBytes() > 0 && above.storedBytes() > 2 * LAYOUT.chunkBytes());
      assertEquals(2, lease.runs().size());
      assertEquals(longer.length(), longer.read(lease));
      checkViews(longer, lease);
    }
  }

  private static void checkViews(TestPrompt prompt, KvLease lease) {
    for (Run run : lease.runs()) {
      for (int layer = 0; layer < LAYOUT.layers().size(); layer++) {
        for (KvView view : lease.view(run, layer)) {
          int chunk = view.firstToken() / CHUNK_TOKENS;
          prompt.check(view.keys(), 0, chunk, layer, KvHalf.KEYS, lease.runs());
          prompt.check(view.values(), 0, chunk, layer, KvHalf.VALUES, lease.runs());
          assertThrows(IllegalArgumentException.class, () -> view.keys().fill((byte) 0));
        }
      }
    }
  }

  @Test
  void viewsOfRawMemoryAreTheTiersOwnBytes() {
    MemoryTier dram = tier("dram", MEMORY, 10);
    KvCache cache = open(dram);
    TestPrompt prompt = prompt(1, 2);
    prompt.store(cache);
    try (KvLease lease = prompt.acquire(cache, AcquireOptions.exact());
        TierView entry = dram.view(prompt.entry(1)).orElseThrow()) {
      checkViews(prompt, lease);
      MemorySegment keys = lease.view(lease.runs().getFirst(), 0).get(1).keys();
      long offset = keys.address() - entry.part(1).address();
      assertTrue(offset > 0 && offset + keys.byteSize() <= entry.part(1).byteSize(),
          "not in place: " + offset);
    }
  }

  @Test
  void whatIsLeasedStaysWhateverHappens() throws Exception {
    MemoryTier dram = tier("dram", MEMORY, 3);
    KvCache cache = open(dram);
    TestPrompt prompt = prompt(1, 2);
    prompt.store(cache);
    try (KvLease lease = prompt.acquire(cache, AcquireOptions.exact())) {
      prompt(2, 2).store(cache);
      assertEquals(1, cache.remove(NAMESPACE, prompt.tokens()) / 2);
      prompt(3, 1).store(cache);
      assertEquals(prompt.length(), prompt.read(lease));
    }
    assertEquals(0, prompt.find(cache));
  }

  @Test
  void readsOnlyShrink() {
    MemoryTier ssd = tier("ssd", DISK, 10);
    KvCache cache = openStill(LruPlacement.raw(), ssd);
    TestPrompt prompt = prompt(1, 4);
    prompt.store(cache);
    ssd.flip(prompt.entry(2), 1, ssd.partBytes(prompt.entry(2), 1) - 1, 3);
    try (KvLease lease = prompt.acquire(cache, AcquireOptions.exact())) {
      assertEquals(4 * CHUNK_TOKENS, lease.read(0, BIG, BIG));
      assertEquals(2 * CHUNK_TOKENS, lease.read(2, BIG, BIG));
      assertEquals(2 * CHUNK_TOKENS, lease.tokens());
      assertEquals(2 * CHUNK_TOKENS, lease.read(0, BIG, BIG));
      assertEquals(2 * CHUNK_TOKENS, lease.runs().getFirst().tokens());
    }
  }

  @Test
  void readsIntoArraysOfAnyType() {
    KvCache cache = open(tier("dram", MEMORY, 10));
    TestPrompt prompt = prompt(1, 2);
    prompt.store(cache);
    try (KvLease lease = prompt.acquire(cache, AcquireOptions.exact())) {
      MemorySegment keys = MemorySegment.ofArray(new short[8 * prompt.length()]);
      MemorySegment values = MemorySegment.ofArray(new float[4 * prompt.length()]);
      lease.read(0, keys, values);
      prompt.check(keys, 1, 1, 0, KvHalf.KEYS, lease.runs());
      prompt.check(values, 1, 1, 0, KvHalf.VALUES, lease.runs());
    }
  }

  @Test
  void slowTierMakesAMissAtTheDeadline() {
    BlockingTier slow = new BlockingTier(tier("ssd", DISK, 10));
    KvCache cache = open(slow);
    TestPrompt prompt = prompt(1, 3);
    prompt.store(cache);
    slow.block();
    AcquireOptions hasty = AcquireOptions.exact().deadline(Duration.ofMillis(30));
    try (KvLease lease = prompt.acquire(cache, hasty)) {
      long start = System.nanoTime();
      assertEquals(0, lease.read(0, BIG, BIG));
      assertTrue(System.nanoTime() - start < TimeUnit.SECONDS.toNanos(10), "waited for the tier");
    } finally {
      slow.release();
    }
    assertEquals(3, prompt.find(cache), "the entries were fine");
  }

  @Test
  void deadlineCoversTheReads() {
    KvCache cache = openStill(LruPlacement.raw(), tier("dram", MEMORY, 10));
    TestPrompt prompt = prompt(1, 3);
    prompt.store(cache);
    try (KvLease lease = prompt.acquire(cache, AcquireOptions.exact().deadline(Duration.ofMillis(5)))) {
      assertEquals(prompt.length(), lease.read(0, BIG, BIG));
      clock.advance(TimeUnit.MILLISECONDS.toNanos(5));
      assertEquals(0, lease.read(1, BIG, BIG));
    }
    assertEquals(3, prompt.find(cache));
  }

  @Test
  void interruptedReaderHasAMissAndLosesNoBuffer() throws Exception {
    BlockingTier slow = new BlockingTier(tier("ssd", DISK, 10));
    KvCache cache = open(slow);
    TestPrompt prompt = prompt(1, 3);
    prompt.store(cache);
    slow.block();
    CompletableFuture<Integer> found = new CompletableFuture<>();
    Thread reader = Thread.ofPlatform().start(() -> {
      try (KvLease lease = prompt.acquire(cache, AcquireOptions.exact())) {
        found.complete(lease.read(0, BIG, BIG));
      }
    });
    slow.awaitCaller();
    reader.interrupt();
    assertEquals(0, found.get(10, TimeUnit.SECONDS));
    reader.join();
    assertTrue(cache.stats().readBuffers() > 0, "a buffer was given back under a read");
    slow.release();
    assertEquals(3, prompt.find(cache));
  }

  @Test
  void refusesUseAfterClose() {
    KvCache cache = open(tier("dram", MEMORY, 10));
    TestPrompt prompt = prompt(1, 1);
    prompt.store(cache);
    KvLease lease = prompt.acquire(cache, AcquireOptions.exact());
    List<Run> runs = lease.runs();
    lease.close();
    lease.close();
    assertThrows(IllegalStateException.class, () -> lease.read(0, BIG, BIG));
    assertThrows(IllegalStateException.class, () -> lease.view(runs.getFirst(), 0));
    assertEquals(0, cache.stats().openLeases());
  }

  @Test
  void refusesWrongArguments() {
    KvCache cache = open(tier("dram", MEMORY, 10));
    TestPrompt prompt = prompt(1, 2);
    prompt.store(cache);
    try (KvLease lease = prompt.acquire(cache, AcquireOptions.exact())) {
      assertThrows(IndexOutOfBoundsException.class, () -> lease.read(3, BIG, BIG));
      assertThrows(IndexOutOfBoundsException.class, () -> lease.read(-1, BIG, BIG));
      refused("keys have 511 bytes, must be at least 512", () -> lease.read(0, BIG.asSlice(0, 511), BIG));
      refused("values have 0 bytes, must be at least 512", () -> lease.read(0, BIG, MemorySegment.NULL));
      refused("values are read-only", () -> lease.read(0, BIG, BIG.asReadOnly()));
      Run tooLong = new Run(CHUNK_TOKENS, 2 * CHUNK_TOKENS, "dram", "raw", Fidelity.EXACT, 1);
      refused(tooLong + " is not a run of this lease of 2 chunks", () -> lease.view(tooLong, 0));
      assertEquals(2 * CHUNK_TOKENS, lease.read(1, BIG, MemorySegment.NULL), "values of a layer without");
    }
  }

  private static void refused(String message, Runnable call) {
    assertEquals(message, assertThrows(IllegalArgumentException.class, call::run).getMessage());
  }
}
