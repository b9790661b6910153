package io.kvcache.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.AcquireOptions;
import io.kvcache.CacheStats;
import io.kvcache.KvCache;
import io.kvcache.KvLease;
import io.kvcache.KvReservation;
import io.kvcache.KvReservation.Status;
import io.kvcache.Namespace;
import io.kvcache.NamespaceLimits;
import io.kvcache.placement.LruPlacement;
import io.kvcache.spi.CacheRuntime;
import io.kvcache.testkit.MemoryTier;
import io.kvcache.testkit.TestPrompt;
import io.kvcache.testkit.TrailingZerosCompressor;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

/**
 * Eight threads on few prompts and tiers so small that everything moves. The prompts of a namespace have one
 * writer, so that what may be found of them is a sequence: operation n leaves a prompt stored, perhaps, or
 * certainly not. A reader notes the last operation that was over before its look-up and the last begun before
 * that ended: of what it finds, one of those in between must have stored it. Every byte read is checked.
 */
class StressTest extends EngineTest {
  private static final int WRITERS = 3;
  private static final int READERS = 4;
  private static final int PROMPTS = 4;
  private static final long RUN_NANOS = TimeUnit.SECONDS.toNanos(8);
  private static final int MOST_OPERATIONS = 1 << 20;

  private final long seed = Long.getLong("test.seed", 1);
  private final List<History> histories = new ArrayList<>();
  private final AtomicLong hits = new AtomicLong();
  private volatile boolean over;

  /** One prompt that shares its first chunk with those of its namespace. */
  private static final class History {
    final TestPrompt prompt;
    final AtomicIntegerArray mayExist = new AtomicIntegerArray(MOST_OPERATIONS);
    final AtomicInteger begun = new AtomicInteger();
    final AtomicInteger finished = new AtomicInteger();

    History(TestPrompt prompt) {
      this.prompt = prompt;
    }

    int begin(boolean stores) {
      int operation = begun.get() + 1;
      mayExist.set(operation, stores ? 1 : 0);
      begun.set(operation); // after the outcome, so that readers who see one see the other
      return operation;
    }

    boolean possible(int from, int to) {
      for (int operation = from; operation <= to; operation++) {
        if (mayExist.get(operation) == 1) {
          return true;
        }
      }
      return false;
    }
  }

  @Test
  void everyThreadSeesOnlyWhatWasStored() throws Exception {
    MemoryTier dram = tier("dram", MEMORY, 6);
    MemoryTier ssd = tier("ssd", DISK, 10);
    CacheRuntime system = CacheRuntime.system();
    KvCache cache = open(builder(LruPlacement.withCodecs(0, TrailingZerosCompressor.CODEC),
        new CacheRuntime(system.nanoTime(), system.wallClock(), system.random(), system.io(),
            system.background(),
            event -> {}, system.onClose()),
        dram, ssd).limits(
            namespace -> namespace.model().equals("model-0") ? NamespaceLimits.none()
                : NamespaceLimits.none().quotaBytes(5 * CHUNK_ROOM).timeToLive(Duration.ofMillis(20))));
    for (int writer = 0; writer < WRITERS; writer++) {
      TestPrompt shared = TestPrompt.of(Namespace.of("model-" + writer, LAYOUT), 1, 1);
      for (int number = 0; number < PROMPTS; number++) {
        histories.add(new History(shared.then(number, 2)));
      }
    }
    runAll(cache);
    CacheStats stats = cache.stats();
    assertTrue(hits.get() > 0, "seed=" + seed + ": nothing was ever found");
    assertTrue(stats.quotaReservations() > 0, "seed=" + seed + ": no quota was ever reached");
    assertTrue(stats.tiers().getFirst().expiredChunks() > 0, "seed=" + seed + ": nothing ever expired");
    for (CacheStats.TierStats tier : stats.tiers()) {
      assertEquals(0, tier.corruptChunks() + tier.missingChunks() + tier.errors(),
          () -> "seed=" + seed + ": " + tier);
    }
    for (History history : histories) {
      cache.clear(history.prompt.namespace());
    }
    cache.flush();
    assertEquals(0, dram.usage().usedBytes() + ssd.usage().usedBytes(), "seed=" + seed + ": bytes left");
  }

  private void runAll(KvCache cache) throws Exception {
    ExecutorService threads = Executors.newFixedThreadPool(WRITERS + READERS + 1);
    List<Future<?>> running = new ArrayList<>();
    for (int index = 0; index < WRITERS; index++) {
      int writer = index;
      running.add(threads.submit(() -> write(cache, writer)));
    }
    for (int index = 0; index < READERS; index++) {
      int reader = index;
      running.add(threads.submit(() -> read(cache, reader)));
    }
    running.add(threads.submit(() -> disturb(cache)));
    for (Future<?> each : running) {
      each.get(2 * RUN_NANOS + TimeUnit.SECONDS.toNanos(30), TimeUnit.NANOSECONDS);
    }
    threads.shutdown();
  }

  private Void write(KvCache cache, int writer) throws IOException {
    SplittableRandom random = new SplittableRandom(seed * 31 + writer);
    long start = System.nanoTime();
    try {
      for (int operation = 1; operation < MOST_OPERATIONS && System.nanoTime() - start < RUN_NANOS;
          operation++) {
        History history = histories.get(writer * PROMPTS + random.nextInt(PROMPTS));
        if (random.nextInt(3) == 0) {
          int removal = history.begin(false);
          cache.remove(history.prompt.namespace(), history.prompt.tokens());
          history.finished.set(removal);
        } else {
          store(cache, history, random);
        }
      }
    } finally {
      over = true;
    }
    return null;
  }

  private static void store(KvCache cache, History history, SplittableRandom random) {
    try (KvReservation reservation = history.prompt.reserve(cache)) {
      if (reservation.status() == Status.RESERVED && random.nextInt(8) > 0) {
        history.prompt.write(reservation);
        int storing = history.begin(true);
        reservation.commit();
        history.finished.set(storing);
      }
    }
  }

  private Void read(KvCache cache, int reader) {
    SplittableRandom random = new SplittableRandom(seed * 31 + WRITERS + reader);
    while (!over) {
      History history = histories.get(random.nextInt(histories.size()));
      int from = history.finished.get();
      try (KvLease lease = history.prompt.acquire(cache, AcquireOptions.exact())) {
        int to = history.begun.get();
        if (lease.tokens() == history.prompt.length()) {
          hits.incrementAndGet();
          assertTrue(history.possible(from, to), "seed=" + seed + ": found what was removed");
        }
        if (random.nextInt(4) > 0) {
          history.prompt.read(lease);
        }
      }
    }
    return null;
  }

  private Void disturb(KvCache cache) throws IOException {
    SplittableRandom random = new SplittableRandom(seed * 31 - 1);
    while (!over) {
      TestPrompt prompt = histories.get(random.nextInt(histories.size())).prompt;
      if (random.nextInt(8) == 0) {
        cache.flush();
      } else {
        cache.prefetch(prompt.namespace(), prompt.tokens());
      }
      CacheStats stats = cache.stats();
      for (CacheStats.TierStats tier : stats.tiers()) {
        assertTrue(tier.usedBytes() <= tier.capacityBytes(), () -> "seed=" + seed + ": " + tier);
      }
    }
    return null;
  }
}
