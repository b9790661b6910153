package io.kvcache.tiers;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.DType;
import io.kvcache.KvCache;
import io.kvcache.KvLayout;
import io.kvcache.Namespace;
import io.kvcache.spi.CacheRuntime;
import io.kvcache.spi.TierView;
import io.kvcache.testkit.TestPrompt;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.InstantSource;
import java.util.Random;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * Goal: a bit that flips in memory while an entry lies there is noticed when it is read. Method: behind the tier's
 * back, through the address of its memory.
 */
final class DramDamageTest {
  private static final KvLayout LAYOUT = KvLayout.uniform(3, 2, 4, DType.F16).withChunkTokens(16);
  private static final int PARTS = 2;
  private static final int GAP_BYTES = 2 * 3 * 63; // zeros between halves, which nobody reads

  @Test
  void aBitOfEveryByte() throws Exception {
    flip(Byte.SIZE + 1);
  }

  @Test
  @Tag("long")
  void everyBit() throws Exception {
    flip(1);
  }

  private static void flip(int step) throws Exception {
    TestPrompt prompt = TestPrompt.of(Namespace.of("model", LAYOUT), 1, 1);
    DramTier tier = DramTier.open(DramTier.MIN_CAPACITY_BYTES * 4);
    int flips = 0;
    int misses = 0;
    CacheRuntime oneThread =
        new CacheRuntime(System::nanoTime, InstantSource.system(), new Random(1), Runnable::run,
            Runnable::run, Runnable::run, () -> {});
    try (KvCache cache = KvCache.builder(LAYOUT).runtime(oneThread).tier(tier).open()) {
      for (int part = 0; part < PARTS; part++) {
        long bits = Long.MAX_VALUE;
        for (long bit = 0; bit < bits; bit += step) {
          prompt.store(cache);
          try (TierView view = tier.view(prompt.entry(0)).orElseThrow()) {
            MemorySegment bytes = view.part(part);
            bits = bytes.byteSize() * Byte.SIZE;
            flip(bytes, bit);
            int found = prompt.find(cache);
            if (found == 1) {
              flip(bytes, bit); // nobody reads it, and it stays as it was
            }
            misses += 1 - found;
          }
          flips++;
        }
      }
      assertEquals(misses, cache.stats().tiers().getFirst().corruptChunks());
    }
    assertTrue(misses >= flips - GAP_BYTES * Byte.SIZE / step - 1, misses + " of " + flips);
  }

  @SuppressWarnings("restricted") // around the segment, which is read-only
  private static void flip(MemorySegment readOnly, long bit) {
    MemorySegment memory = MemorySegment.ofAddress(readOnly.address()).reinterpret(readOnly.byteSize());
    long at = bit / Byte.SIZE;
    memory.set(ValueLayout.JAVA_BYTE, at,
        (byte) (memory.get(ValueLayout.JAVA_BYTE, at) ^ 1 << bit % Byte.SIZE));
  }
}
