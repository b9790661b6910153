package io.kvcache.testkit;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.kvcache.spi.Tier;
import io.kvcache.spi.TierTrait;
import java.util.Set;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;

/** The reference tier keeps the contract whatever its traits. */
class MemoryTierTest {
  abstract static class Contract extends TierContract {
    private final Set<TierTrait> traits;

    Contract(TierTrait... traits) {
      this.traits = Set.of(traits);
    }

    @Override
    protected Tier newTier(long capacityBytes) {
      return new MemoryTier("memory", capacityBytes, traits);
    }

    @Override
    protected Tier reopen(Tier closed, long capacityBytes) {
      return ((MemoryTier) closed).reopen();
    }

    @Override
    protected Tier crash(Tier open, long capacityBytes) {
      return ((MemoryTier) open).crash();
    }
  }

  @Nested
  class Volatile extends Contract {}

  @Nested
  class Durable extends Contract {
    Durable() {
      super(TierTrait.DURABLE);
    }
  }

  @Nested
  class Addressable extends Contract {
    Addressable() {
      super(TierTrait.ADDRESSABLE);
    }
  }

  @Nested
  class AddressableAndDurable extends Contract {
    AddressableAndDurable() {
      super(TierTrait.ADDRESSABLE, TierTrait.DURABLE);
    }
  }

  @Test
  void crashOfVolatileTierLosesEverything() throws Exception {
    MemoryTier tier = new MemoryTier("memory", 1 << 20, Set.of());
    long[] parts = {10};
    tier.create(Payloads.entry(1), new byte[0], parts).orElseThrow().commit(parts);
    tier.flush();
    assertEquals(1, tier.usage().entries());
    assertEquals(0, tier.crash().usage().entries());
  }
}
