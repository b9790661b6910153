package io.kvcache.bench.placement;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.spi.Deadline;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.ReadResult;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierTrait;
import io.kvcache.spi.TierWrite;
import io.kvcache.testkit.MemoryTier;
import io.kvcache.testkit.Payloads;
import io.kvcache.testkit.TierContract;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** A throttled tier is a tier; and it holds back. */
class ThrottledTierTest extends TierContract {
  private static final double FAST = 100e9;
  private static final double SLOW = 1e6;

  @Override
  protected Tier newTier(long capacityBytes) {
    return new ThrottledTier(new MemoryTier("dram", capacityBytes, Set.of(TierTrait.ADDRESSABLE)),
        new Link(FAST, 0));
  }

  @Test
  void memoryBehindALinkIsNotAddressable() throws Exception {
    try (Tier tier = newTier(1 << 20)) {
      assertEquals(Set.of(), tier.traits());
    }
  }

  /** The only bound a busy machine cannot break: a link is never faster than it says. */
  @Test
  void transfersTakeTheirTimeOneAfterTheOther() {
    Link link = new Link(SLOW, 0);
    long start = System.nanoTime();
    assertTrue(link.transfer(5_000, start, Deadline.never()));
    assertTrue(link.transfer(5_000, start, Deadline.never()));
    assertTrue(System.nanoTime() - start >= TimeUnit.MILLISECONDS.toNanos(10), "10,000 bytes at 1 MB/s");
  }

  @Test
  void latencyIsOnTop() {
    Link link = new Link(SLOW, TimeUnit.MILLISECONDS.toNanos(7));
    long start = System.nanoTime();
    assertTrue(link.transfer(5_000, start, Deadline.never()));
    assertTrue(System.nanoTime() - start >= TimeUnit.MILLISECONDS.toNanos(12), "5 ms at 1 MB/s, and 7");
  }

  /** Goal: both directions pass the link. Method: by the clock, which a busy machine cannot make fast. */
  @Test
  void storingAndLoadingTakeTheirTime() throws Exception {
    EntryId id = Payloads.entry(1);
    try (Arena arena = Arena.ofConfined();
        Tier tier = new ThrottledTier(new MemoryTier("dram", 1 << 20, Set.of()), new Link(SLOW, 0))) {
      long start = System.nanoTime();
      try (TierWrite write = tier.create(id, new byte[0], new long[] {8192}).orElseThrow()) {
        write.commit(new long[] {8192});
      }
      long stored = System.nanoTime();
      assertTrue(stored - start >= TimeUnit.MICROSECONDS.toNanos(8192), "8,192 bytes at 1 MB/s");
      assertInstanceOf(ReadResult.Present.class,
          tier.read(id, 0, arena.allocate(8192, Tier.ALIGNMENT), Deadline.never()));
      assertTrue(System.nanoTime() - stored >= TimeUnit.MICROSECONDS.toNanos(8192), "and back");
    }
  }

  @Test
  void whatCannotBeThereInTimeIsRefusedAtOnceAndReservesNothing() throws Exception {
    EntryId id = Payloads.entry(1);
    try (Arena arena = Arena.ofConfined(); Tier inner = new MemoryTier("dram", 1 << 20, Set.of())) {
      try (TierWrite write = inner.create(id, new byte[0], new long[] {4096}).orElseThrow()) {
        write.commit(new long[] {4096});
      }
      Link link = new Link(1, 0);
      Tier tier = new ThrottledTier(inner, link);
      MemorySegment target = arena.allocate(4096, Tier.ALIGNMENT);
      Deadline deadline = Deadline.after(TimeUnit.MINUTES.toNanos(1), System::nanoTime);
      assertInstanceOf(ReadResult.Unreadable.class, tier.read(id, 0, target, deadline), "more than an hour");
      assertTrue(link.transfer(0, System.nanoTime(), deadline), "the link is as free as before");
      assertFalse(link.transfer(4096, System.nanoTime(), deadline));
    }
  }

  @Test
  void speedsAreReadFromTheCommandLine() {
    assertFalse(Throttle.parse("off", 1).on());
    assertEquals(new Throttle(100e6, 20.5e6), Throttle.parse("100,20.5", 1));
    Throttle model = Throttle.parse("MODEL", 2.3e6);
    assertEquals(26.9e6, model.dramBytesPerSecond(), 1);
    assertEquals(5.17e6, model.ssdBytesPerSecond(), 1);
    for (String bad : new String[] {"fast", "1", "1,2,3", "0,1", "-1,1", "NaN,1", ""}) {
      String message =
          assertThrows(IllegalArgumentException.class, () -> Throttle.parse(bad, 1), bad).getMessage();
      assertTrue(message.contains("'" + bad + "'"), message);
    }
  }
}
