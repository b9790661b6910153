package io.kvcache.tiers;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.KvCache;
import io.kvcache.KvLayout;
import io.kvcache.KvReservation;
import io.kvcache.KvReservation.Status;
import io.kvcache.LayerSpec;
import io.kvcache.Namespace;
import io.kvcache.StoreOptions;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierView;
import io.kvcache.spi.TierWrite;
import io.kvcache.testkit.Payloads;
import io.kvcache.testkit.TestPrompt;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A cache over these tiers when they are short of something: what is stored stays, what is new finds room. */
@Timeout(120)
final class RoomTest {
  private static final int CONTEXTS = 20;

  /** Chunks of half a MiB. */
  private static final KvLayout LAYOUT = new KvLayout(List.of(LayerSpec.opaque(32 << 10)), 16);

  @TempDir
  Path directory;

  private static TestPrompt prompt(KvLayout layout, int number, int chunks) {
    return TestPrompt.of(Namespace.of("model", layout), number, chunks);
  }

  private SsdTierBuilder ssd() {
    return SsdTier.builder(directory, 64 << 20).freeSpaceFloorBytes(0);
  }

  private static KvCache open(SsdTierBuilder ssd) throws IOException {
    return KvCache.builder(LAYOUT).tier(ssd.open()).open();
  }

  private static void storeAll(KvCache cache) {
    for (int number = 0; number < CONTEXTS; number++) {
      assertEquals(Status.RESERVED, prompt(LAYOUT, number, 2).store(cache));
    }
  }

  private static void checkAll(KvCache cache) {
    for (int number = 0; number < CONTEXTS; number++) {
      assertEquals(2, prompt(LAYOUT, number, 2).find(cache), "context " + number);
    }
  }

  @Test
  void stagingMemoryThatAnotherHoldsCostsNobodyAnEntry() throws IOException {
    try (KvCache cache = open(ssd().stagingBytes(2 << 20))) {
      storeAll(cache);
      try (KvReservation holder = prompt(LAYOUT, 100, 3).reserve(cache);
          KvReservation second = prompt(LAYOUT, 101, 3).reserve(cache)) {
        assertEquals(Status.RESERVED, holder.status());
        assertEquals(Status.FULL, second.status());
      }
      checkAll(cache);
    }
  }

  @Test
  void diskThatOthersHaveFilledCostsNobodyAnEntry() throws IOException {
    try (KvCache cache = open(ssd())) {
      storeAll(cache);
      cache.flush();
    }
    try (KvCache cache = open(ssd().freeSpaceFloorBytes(1L << 60))) {
      assertEquals(Status.FULL, prompt(LAYOUT, 100, 1).store(cache));
      checkAll(cache);
    }
  }

  /** Goal: entries that are mostly what describes them are moved on like others. */
  @Test
  void manySmallEntriesMoveOn() throws IOException {
    KvLayout small = new KvLayout(List.of(LayerSpec.opaque(128)), 16);
    try (KvCache cache = KvCache.builder(small).tier(DramTier.open(1 << 20)).tier(ssd().open()).open()) {
      for (int number = 0; number < 100; number++) {
        storePatiently(cache, prompt(small, number, 1));
      }
      for (int number = 0; number < 100; number++) {
        assertEquals(1, prompt(small, number, 1).find(cache), "context " + number);
      }
    }
  }

  /** Goal: entries that shrink at their commit leave memory that claims of full size fit into. */
  @Test
  void shrunkenEntriesLeaveUsableRoom() throws IOException {
    long[] claimed = {1 << 20};
    try (Tier tier = DramTier.open(32 << 20)) {
      for (int number = 0; number < 400; number++) {
        try (TierWrite write = tier.create(Payloads.entry(number), new byte[0], claimed).orElseThrow()) {
          write.part(0).asSlice(0, 9000).fill((byte) number);
          write.commit(new long[] {9000});
        }
      }
      for (int number = 0; number < 400; number++) {
        try (TierView view = tier.view(Payloads.entry(number)).orElseThrow()) {
          assertEquals(9000, view.part(0).byteSize());
          assertEquals((byte) number, view.part(0).get(ValueLayout.JAVA_BYTE, 8999));
        }
      }
    }
  }

  private static void storePatiently(KvCache cache, TestPrompt prompt) {
    StoreOptions patient = StoreOptions.defaults().waitForRoom(Duration.ofSeconds(20));
    try (KvReservation reservation = cache.reserve(prompt.namespace(), prompt.tokens(), patient)) {
      assertEquals(Status.RESERVED, reservation.status());
      prompt.write(reservation);
      assertTrue(reservation.commit());
    }
  }

  @Test
  void chunkThatADiskCanNeverTakeIsRefusedAtOpen() throws IOException {
    try (Tier small = ssd().stagingBytes(512 << 10).open()) {
      assertEquals("a chunk encoded as raw may take 536576 bytes, tier ssd takes at most 524288 for one",
          assertThrows(IllegalArgumentException.class, () -> KvCache.builder(LAYOUT).tier(small).open())
              .getMessage());
    }
  }
}
