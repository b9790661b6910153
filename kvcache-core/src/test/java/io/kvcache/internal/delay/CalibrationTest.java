package io.kvcache.internal.delay;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.DType;
import io.kvcache.KvLayout;
import io.kvcache.KvShape;
import io.kvcache.internal.delay.DelaySeeds.TierSeed;
import io.kvcache.spi.Deadline;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.ReadResult;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierTrait;
import io.kvcache.spi.TierView;
import io.kvcache.spi.TierWrite;
import io.kvcache.testkit.FaultyTier;
import io.kvcache.testkit.ForwardingTier;
import io.kvcache.testkit.ManualClock;
import io.kvcache.testkit.MemoryTier;
import io.kvcache.testkit.TrailingZerosCompressor;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class CalibrationTest {
  private static final long BUDGET = Calibration.DEFAULT_BUDGET_NANOS;
  private static final KvLayout LAYOUT = KvLayout.uniform(32, 8, 128, DType.BF16).withChunkTokens(64);
  private static final Set<TierTrait> DISK = Set.of(TierTrait.DURABLE);
  private static final Set<TierTrait> MEMORY = Set.of(TierTrait.ADDRESSABLE);

  private final ManualClock clock = new ManualClock(Long.MAX_VALUE - 1000);

  /** Takes a fixed time and a time per byte for everything; counts what was begun. */
  private class TimedTier extends ForwardingTier {
    final long fixedNanos;
    final double nanosPerByte;
    long calls;

    TimedTier(Tier inner, long fixedNanos, double nanosPerByte) {
      super(inner);
      this.fixedNanos = fixedNanos;
      this.nanosPerByte = nanosPerByte;
    }

    private void take(long bytes) {
      calls++;
      clock.advance(fixedNanos + Math.round(nanosPerByte * bytes));
    }

    @Override
    public Optional<TierWrite> create(EntryId id, byte[] note, long[] partBytes) throws IOException {
      assertEquals(0, note.length);
      for (long bytes : partBytes) {
        take(bytes);
      }
      return super.create(id, note, partBytes);
    }

    @Override
    public ReadResult read(EntryId id, int part, MemorySegment target, Deadline deadline) {
      assertFalse(traits().contains(TierTrait.ADDRESSABLE));
      assertEquals(0, target.address() % ALIGNMENT);
      assertEquals(0, target.byteSize() % ALIGNMENT);
      take(target.byteSize());
      return super.read(id, part, target, deadline);
    }

    @Override
    public Optional<TierView> view(EntryId id) {
      take(0);
      return super.view(id);
    }
  }

  private Calibration calibration(long budgetNanos) {
    return new Calibration(clock, new SplittableRandom(1), budgetNanos);
  }

  private TierSeed seed(Tier tier) {
    return calibration(BUDGET).run(List.of(tier), List.of(), LAYOUT).tiers().getFirst();
  }

  private static MemoryTier medium(Set<TierTrait> traits) {
    return new MemoryTier("medium", 64L << 20, traits);
  }

  private static void assertEmpty(MemoryTier medium, String when) {
    assertEquals(0, medium.usage().entries(), when);
    assertEquals(0, medium.usage().usedBytes(), when);
    assertEquals(0, medium.openHandles(), when);
  }

  @Test
  void findsTheLineOfATier() {
    MemoryTier medium = medium(DISK);
    TierSeed seed = seed(new TimedTier(medium, 20_000, 0.2));
    assertTrue(seed.measured());
    assertEquals("medium", seed.name());
    assertEquals(0.2e-9, seed.load().secondsPerUnit(), 1e-14);
    assertEquals(20e-6, seed.load().fixedSeconds(), 1e-9);
    assertEquals(0.2e-9, seed.store().secondsPerUnit(), 1e-14);
    assertEmpty(medium, "after calibration");
    assertTrue(clock.getAsLong() - (Long.MAX_VALUE - 1000) <= BUDGET);
  }

  @Test
  void viewsWhereThereIsMemoryToSee() {
    MemoryTier medium = medium(MEMORY);
    TimedTier timed = new TimedTier(medium, 1_000, 0.1);
    assertTrue(seed(timed).measured());
    assertTrue(timed.calls > 2);
    assertEmpty(medium, "after calibration");
  }

  @ParameterizedTest
  @EnumSource
  void survivesEveryFailure(FaultyTier.Fault fault) {
    for (long seed = 1; seed <= 20; seed++) {
      for (Set<TierTrait> traits : List.of(MEMORY, DISK)) {
        for (double probability : new double[] {0.3, 1}) {
          MemoryTier medium = medium(traits);
          FaultyTier faulty =
              new FaultyTier(medium, seed, 10 * BUDGET, clock::advance).set(fault, probability);
          TierSeed found = seed(new TimedTier(faulty, 1_000, 0.1));
          String when = fault + " " + probability + " seed " + seed + " " + traits;
          assertTrue(Double.isFinite(found.load().seconds(1 << 20)), when);
          if (fault != FaultyTier.Fault.REMOVE_FAILS) {
            assertEmpty(medium, when);
          } else {
            medium.inventory(entry -> assertEquals(0, entry.note().length, when));
          }
        }
      }
    }
  }

  @Test
  void removesAgainWhenRemovingFailsOnce() {
    MemoryTier medium = medium(DISK);
    TierSeed seed = seed(new TimedTier(medium, 1_000, 0.1) {
      private int removals;

      @Override
      public int remove(Collection<EntryId> ids) throws IOException {
        if (removals++ % 2 == 0) {
          throw new IOException("injected");
        }
        return super.remove(ids);
      }
    });
    assertTrue(seed.measured());
    assertEmpty(medium, "after calibration");
  }

  @Test
  void guessesWhereNothingFits() {
    MemoryTier small = new MemoryTier("small", 4096, DISK);
    TierSeed disk = seed(small);
    assertFalse(disk.measured());
    assertEquals(1e-9, disk.load().secondsPerUnit());
    TierSeed memory = seed(new MemoryTier("small", 4096, MEMORY));
    assertEquals(0.1e-9, memory.load().secondsPerUnit());
    assertEmpty(small, "no room");
    MemoryTier medium = new MemoryTier("medium", 256 * 1024, DISK);
    assertTrue(seed(new TimedTier(medium, 1_000, 0.1)).measured(), "room for the small entry only");
    assertEmpty(medium, "room for one");
  }

  /** Once the time is over nothing but the removal is begun. */
  @Test
  void keepsToItsBudget() {
    MemoryTier medium = medium(DISK);
    TimedTier none = new TimedTier(medium, 1_000, 0.1);
    assertFalse(
        calibration(0).run(List.of(none), List.of(new TrailingZerosCompressor()), LAYOUT).tiers().getFirst()
            .measured());
    assertEquals(0, none.calls);
    TimedTier stalls = new TimedTier(medium, 2 * BUDGET, 0);
    assertFalse(seed(stalls).measured());
    assertEquals(1, stalls.calls, "the store");
    TimedTier slow = new TimedTier(medium, BUDGET / 10, 0);
    assertTrue(seed(slow).measured());
    assertEquals(4, slow.calls, "the small entry's store and its three reads");
    assertEmpty(medium, "after calibration");
  }

  /** A tier that is taken for slower than it is would never be used, and so never be measured again. */
  @Test
  void timeOfASmallEntryAloneIsTakenForFixed() {
    double seconds = BUDGET / 10 / 1e9;
    TierSeed seed = seed(new TimedTier(medium(DISK), BUDGET / 10, 0));
    assertEquals(seconds, seed.load().seconds(64 * 1024), 1e-9);
    assertTrue(seed.load().seconds(4 << 20) < 2 * seconds, seed::toString);
    assertTrue(seed.store().seconds(4 << 20) < 2 * seconds, seed::toString);
  }

  @Test
  void measuresCodecs() {
    ManualClock time = new ManualClock();
    TrailingZerosCompressor slow = new TrailingZerosCompressor() {
      @Override
      public long compress(KvShape shape, MemorySegment source, MemorySegment target) {
        time.advance(2 * shape.bytes());
        super.compress(shape, source, target);
        return shape.bytes() / 2;
      }

      @Override
      public void decompress(KvShape shape, int parameters, MemorySegment stored, MemorySegment target) {
        assertEquals(shape.bytes() / 2, stored.byteSize());
        assertEquals(shape.bytes(), target.byteSize());
        time.advance(shape.bytes());
      }
    };
    CodecCost cost =
        new Calibration(time, new SplittableRandom(1), BUDGET).run(List.of(), List.of(slow), LAYOUT)
            .codecs().get(TrailingZerosCompressor.CODEC);
    assertEquals(2e-9, cost.encodeSecondsPerByte(), 1e-15);
    assertEquals(1e-9, cost.decodeSecondsPerByte(), 1e-15);
    assertEquals(0.5, cost.storedShare(), 1e-9);
    assertEquals(2e-9, cost.decodeSecondsPerStoredByte(), 1e-15);
  }

  @Test
  void codecThatFailsHasNoCost() {
    TrailingZerosCompressor broken = new TrailingZerosCompressor() {
      @Override
      public long compress(KvShape shape, MemorySegment source, MemorySegment target) {
        throw new IllegalStateException("injected");
      }
    };
    assertTrue(calibration(BUDGET).run(List.of(), List.of(broken), LAYOUT).codecs().isEmpty());
  }
}
