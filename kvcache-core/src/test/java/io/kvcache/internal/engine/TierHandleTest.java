package io.kvcache.internal.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import io.kvcache.internal.delay.DelayModel;
import io.kvcache.internal.delay.DelaySeeds;
import io.kvcache.internal.delay.DelaySeeds.TierSeed;
import io.kvcache.spi.TierTrait;
import io.kvcache.testkit.ManualClock;
import io.kvcache.testkit.MemoryTier;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;

class TierHandleTest {
  private static final long MIB = 1 << 20;
  private static final int NANOS_PER_BYTE = 9;

  private final ManualClock clock = new ManualClock();
  private final DelayModel delays = new DelayModel(
      new DelaySeeds(List.of(TierSeed.guess("ssd", false)), Map.of(), DelaySeeds.RECOMPUTE_GUESS));
  private final TierHandle tier =
      new TierHandle(0, new MemoryTier("ssd", MIB, Set.of(TierTrait.DURABLE)), clock, delays, event -> {});

  /** Goal: a store is as long as its own bytes take. Method: three others end while each is under way. */
  @Test
  void storesOfOthersMeanwhileAreNotCountedIn() {
    for (int store = 0; store < 40; store++) {
      long bytes = MIB << store % 4;
      tier.commit(() -> {
        for (int other = 0; other < 3; other++) {
          tier.commitUnobserved(() -> bytes);
        }
        clock.advance(bytes * NANOS_PER_BYTE);
        return bytes;
      });
    }
    assertEquals(NANOS_PER_BYTE, delays.store(0).seconds(4 * MIB) * 1e9 / (4 * MIB), 0.5);
  }

  @Test
  void storesThatFailTeachNothing() {
    double before = delays.store(0).seconds(MIB);
    for (int store = 0; store < 40; store++) {
      assertFalse(tier.commit(() -> {
        clock.advance(MIB * NANOS_PER_BYTE);
        throw new IOException("injected");
      }));
    }
    assertEquals(before, delays.store(0).seconds(MIB));
    assertEquals(0, tier.stats().bytesWritten());
    assertEquals(40, tier.stats().errors());
  }
}
