package io.kvcache.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.AcquireOptions;
import io.kvcache.KvCache;
import io.kvcache.KvLease;
import io.kvcache.KvReservation;
import io.kvcache.KvReservation.Status;
import io.kvcache.StoreOptions;
import io.kvcache.placement.LruPlacement;
import io.kvcache.spi.CacheRuntime;
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
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.RepetitionInfo;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** Closing: at any time, from any thread, whatever is open or hangs. */
class ClosingTest extends EngineTest {
  private static final MemorySegment BIG = MemorySegment.ofArray(new byte[1 << 16]);
  private static final int THREADS = 4;

  @Test
  void closedCacheSaysSo() {
    KvCache cache = open(tier("dram", MEMORY, 10));
    TestPrompt prompt = prompt(1, 1);
    cache.close();
    cache.close();
    assertClosed(() -> prompt.find(cache));
    assertClosed(() -> prompt.store(cache));
    assertClosed(() -> cache.prefetch(NAMESPACE, prompt.tokens()));
    assertClosed(() -> cache.remove(NAMESPACE, prompt.tokens()));
    assertClosed(() -> cache.clear(NAMESPACE));
    assertClosed(cache::flush);
  }

  private static void assertClosed(Executable call) {
    assertEquals("the cache is closed", assertThrows(IllegalStateException.class, call).getMessage());
  }

  @Test
  void reportsWhatIsOpenAndMakesItAMiss() {
    MemoryTier dram = tier("dram", MEMORY, 10);
    MemoryTier ssd = tier("ssd", DISK, 10);
    KvCache cache = open(dram, ssd);
    TestPrompt prompt = prompt(1, 2);
    prompt.store(cache);
    KvLease lease = prompt.acquire(cache, AcquireOptions.exact());
    KvReservation reservation = prompt(2, 2).reserve(cache);
    assertEquals("1 leases and 1 reservations were open when the cache was closed",
        assertThrows(IllegalStateException.class, cache::close).getMessage());
    assertEquals(0, lease.read(0, BIG, BIG));
    assertClosed(() -> prompt(2, 2).write(reservation));
    lease.close();
    reservation.close();
    cache.close();
    assertEquals(0, cache.stats().openLeases() + cache.stats().openReservations());
  }

  @Test
  void tellsOfEveryTierThatCannotBeClosedAndTriesThoseAgain() {
    Stubborn dram = new Stubborn(tier("dram", MEMORY, 10));
    Stubborn ssd = new Stubborn(tier("ssd", DISK, 10));
    CacheRuntime runtime = still(clock);
    KvCache cache = open(builder(LruPlacement.raw(),
        new CacheRuntime(runtime.nanoTime(), runtime.wallClock(), runtime.random(), runtime.io(),
            runtime.background(), runtime.events(), () -> {
              throw new IllegalStateException("in use");
            }),
        dram, ssd));
    KvReservation reservation = prompt(1, 1).reserve(cache);
    IllegalStateException first = assertThrows(IllegalStateException.class, cache::close);
    assertEquals("0 leases and 1 reservations were open when the cache was closed", first.getMessage());
    assertEquals(
        List.of("the threads could not be stopped", "tier dram could not be closed cleanly",
            "tier ssd could not be closed cleanly"),
        Stream.of(first.getSuppressed()).map(Throwable::getMessage).toList());
    dram.closes = true;
    assertEquals("tier ssd could not be closed cleanly",
        assertThrows(IllegalStateException.class, cache::close).getMessage());
    ssd.closes = true;
    reservation.close();
    cache.close();
    cache.close();
    assertEquals(List.of(2, 3), List.of(dram.tries, ssd.tries));
  }

  /** A tier that cannot be closed until it is told to. */
  private static final class Stubborn extends ForwardingTier {
    private boolean closes;
    private int tries;

    Stubborn(Tier inner) {
      super(inner);
    }

    @Override
    public void close() throws IOException {
      tries++;
      if (!closes) {
        throw new IOException("a call hangs");
      }
      super.close();
    }
  }

  @Test
  void wakesThoseWhoWait() throws Exception {
    KvCache cache = open(tier("dram", MEMORY, 2));
    TestPrompt prompt = prompt(1, 2);
    KvReservation reservation = prompt.reserve(cache);
    CompletableFuture<Integer> found =
        elsewhere(() -> prompt.find(cache, AcquireOptions.exact().awaitingPending()));
    StoreOptions patient = StoreOptions.defaults().waitForRoom(Duration.ofHours(1));
    CompletableFuture<Status> stored = elsewhere(() -> {
      try (KvReservation next = cache.reserve(NAMESPACE, prompt(2, 2).tokens(), patient)) {
        return next.status();
      }
    });
    LeakCheck.await("nobody waits", () -> cache.stats().openReservations() == 2);
    assertThrows(IllegalStateException.class, cache::close);
    assertEquals(0, found.handle((chunks, closed) -> closed == null ? chunks : 0).get(10, TimeUnit.SECONDS));
    assertEquals(Status.FULL, stored.get(10, TimeUnit.SECONDS));
    reservation.close();
  }

  @Test
  void doesNotWaitForATierThatHangs() {
    BlockingTier slow = new BlockingTier(tier("ssd", DISK, 10));
    KvCache cache = open(slow);
    TestPrompt prompt = prompt(1, 2);
    prompt.store(cache);
    slow.block();
    AcquireOptions hasty = AcquireOptions.exact().deadline(Duration.ofMillis(10));
    try (KvLease lease = prompt.acquire(cache, hasty)) {
      assertEquals(0, lease.read(0, BIG, BIG));
    }
    long start = System.nanoTime();
    cache.close();
    assertTrue(System.nanoTime() - start < TimeUnit.SECONDS.toNanos(20));
    assertTrue(cache.stats().readBuffers() > 0, "a buffer was given back under a read");
    slow.release();
  }

  @Test
  void failingListenerHarmsNobody() {
    AtomicInteger told = new AtomicInteger();
    KvCache cache = open(
        builder(LruPlacement.raw(), still(clock), tier("dram", MEMORY, 10)).listener(event -> {
          told.incrementAndGet();
          throw new QuietException();
        }));
    prompt(1, 2).store(cache);
    assertEquals(2, prompt(1, 2).find(cache));
    assertEquals(2, told.get());
  }

  /** Goal: nothing but "closed" is thrown, nobody hangs. Method: close while others do everything at once. */
  @RepeatedTest(20)
  void closesUnderLoad(RepetitionInfo run) throws Exception {
    MemoryTier ssd = tier("ssd", DISK, 12);
    KvCache cache = open(tier("dram", MEMORY, 6), ssd);
    ExecutorService threads = Executors.newFixedThreadPool(THREADS);
    AtomicInteger calls = new AtomicInteger();
    List<Future<?>> running = new ArrayList<>();
    for (int index = 0; index < THREADS; index++) {
      int thread = index;
      running.add(threads.submit(() -> useUntilClosed(cache, thread, calls)));
    }
    LeakCheck.await("no load", () -> calls.get() > 20 * run.getCurrentRepetition());
    try {
      cache.close();
    } catch (IllegalStateException open) {
      assertTrue(open.getMessage().contains("were open when"), open.getMessage());
    }
    for (Future<?> each : running) {
      each.get(20, TimeUnit.SECONDS);
    }
    threads.shutdown();
    LeakCheck.await("buffers in use", () -> cache.stats().readBuffers() == 0);
    assertEquals(0, cache.stats().openLeases() + cache.stats().openReservations());
  }

  private Void useUntilClosed(KvCache cache, int thread, AtomicInteger calls) throws Exception {
    try {
      for (int round = 0; true; round++) {
        TestPrompt prompt = prompt(round % 3, 1 + (round + thread) % 4);
        switch ((round + thread) % 5) {
          case 0 -> cache.flush();
          case 1 -> cache.prefetch(NAMESPACE, prompt.tokens());
          case 2 -> cache.remove(NAMESPACE, prompt.tokens());
          case 3 -> storeUnlessClosed(cache, prompt);
          default -> prompt.find(cache);
        }
        calls.incrementAndGet();
      }
    } catch (IllegalStateException closed) {
      assertEquals("the cache is closed", closed.getMessage());
      return null;
    }
  }

  private static void storeUnlessClosed(KvCache cache, TestPrompt prompt) {
    try (KvReservation reservation = prompt.reserve(cache)) {
      if (reservation.status() == Status.RESERVED) {
        prompt.write(reservation);
        boolean committed = reservation.commit();
        assertFalse(committed && reservation.tokens() == 0);
      }
    }
  }

  /** Logged in one line. */
  private static final class QuietException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    QuietException() {
      super("thrown by the listener of a test, as it should be", null, false, false);
    }
  }
}
