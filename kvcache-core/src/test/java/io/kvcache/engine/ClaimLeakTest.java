package io.kvcache.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.kvcache.KvCache;
import io.kvcache.KvReservation.Status;
import io.kvcache.placement.LruPlacement;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.TierWrite;
import io.kvcache.testkit.ForwardingTier;
import io.kvcache.testkit.MemoryTier;
import java.io.IOException;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** A reservation that fails in an unforeseen way leaves nothing claimed. */
class ClaimLeakTest extends EngineTest {
  @Test
  void errorWhileRoomIsClaimedLeavesNothingClaimed() {
    MemoryTier ssd = tier("ssd", DISK, 10);
    boolean[] fails = {true};
    KvCache cache = openStill(LruPlacement.raw(), new ForwardingTier(ssd) {
      @Override
      public Optional<TierWrite> create(EntryId id, byte[] note, long[] partBytes) throws IOException {
        if (fails[0]) {
          throw new AssertionError("injected");
        }
        return super.create(id, note, partBytes);
      }
    });
    assertThrows(AssertionError.class, () -> prompt(1, 2).reserve(cache));
    assertEquals(0, cache.stats().openReservations());
    fails[0] = false;
    assertEquals(Status.RESERVED, prompt(1, 2).store(cache));
  }
}
