package io.kvcache.tiers;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.spi.EntryId;
import io.kvcache.spi.TierUsage;
import io.kvcache.testkit.Payloads;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The byte cap, physically, and what opening makes of a full store. */
final class SsdCapacityTest {
  @TempDir
  Path directory;

  private final TreeMap<Long, Long> stored = new TreeMap<>();
  private long next;
  private long liveBytes;
  private long mostLiveBytes;

  /** Sizes of an entry's parts, from its number alone. */
  @FunctionalInterface
  private interface Sizes {
    long[] of(SplittableRandom random);
  }

  @Test
  void largePartsFillTheCapAndKeepToIt() throws IOException {
    long live = churn(64 << 20, 3, random -> new long[] {500, random.nextLong(70_000, 1_500_000)});
    assertTrue(live > (64 << 20) * 85L / 100, "live bytes are only " + live);
  }

  @Test
  void smallPartsKeepToTheCap() throws IOException {
    churn(16 << 20, 4, random -> new long[] {random.nextLong(8, 60_000), random.nextLong(8, 2000)});
  }

  /** Goal: room moves from extents to the index and back. */
  @Test
  void mixedPartsKeepToTheCap() throws IOException {
    long[] phase = new long[1];
    churn(24 << 20, 6, random -> phase[0]++ / 200 % 2 == 0
        ? new long[] {random.nextLong(8, 3000), random.nextLong(8, 30_000)}
        : new long[] {random.nextLong(8, 500), random.nextLong(100_000, 900_000)});
  }

  /** Goal: one entry makes room for a smaller one, though its pages lie where no file can be cut. */
  @Test
  void whatALargeEntryLeavesIsRoomForSmallParts() throws IOException {
    try (SsdTier tier = SsdTier.builder(directory, 16 << 20).stagingBytes(4 << 20).open()) {
      int count = 0;
      while (Entries.store(tier, Payloads.entry(count), 1, new long[] {500, 400_000})) {
        count++;
      }
      for (int number = 0; number < count - 1; number++) {
        EntryId id = Payloads.entry(number);
        tier.remove(List.of(id));
        assertTrue(Entries.store(tier, id, 1, new long[] {500, 60_000, 60_000, 60_000, 60_000}),
            "entry " + number + " of " + count + ", " + tier.usage());
      }
      try (Arena arena = Arena.ofConfined()) {
        MemorySegment target = Entries.target(arena, 2 << 20);
        for (int number = 0; number < count - 1; number++) {
          assertEquals(1, Entries.version(tier, Payloads.entry(number), 4, target));
        }
      }
    }
  }

  /** Stores so many times the capacity, the oldest removed when full; returns the most bytes live. */
  private long churn(long capacity, int times, Sizes sizes) throws IOException {
    SplittableRandom random = new SplittableRandom(Long.getLong("test.seed", 5));
    long mostPhysical = 0;
    try (SsdTier tier = SsdTier.builder(directory, capacity).stagingBytes(4 << 20).open()) {
      for (long written = 0; written < capacity * times;) {
        long[] parts = sizes.of(random);
        storeEvicting(tier, parts);
        written += bytes(parts);
        long physical = Directories.bytes(directory);
        mostPhysical = Math.max(mostPhysical, physical);
        TierUsage usage = tier.usage();
        assertTrue(physical <= capacity,
            "physical " + physical + " over the cap of " + capacity + ", " + usage);
        assertTrue(usage.usedBytes() <= capacity, usage::toString);
      }
      System.out.printf("cap %d, most physical %.3f, most live %.3f, used %.3f of it, %d entries%n", capacity,
          (double) mostPhysical / capacity, (double) mostLiveBytes / capacity,
          (double) tier.usage().usedBytes() / capacity, stored.size());
      verifyAll(tier);
    }
    return mostLiveBytes;
  }

  private void storeEvicting(SsdTier tier, long[] parts) throws IOException {
    EntryId id = Payloads.entry(next);
    while (!Entries.store(tier, id, bytes(parts), parts)) {
      assertFalse(stored.isEmpty(), "no room in an empty tier: " + tier.usage());
      evictOldest(tier);
    }
    stored.put(next++, bytes(parts));
    liveBytes += bytes(parts);
    mostLiveBytes = Math.max(mostLiveBytes, liveBytes);
  }

  private void evictOldest(SsdTier tier) throws IOException {
    List<EntryId> oldest = new ArrayList<>();
    for (int i = 0; i <= stored.size() / 64; i++) { // few at a time, but not one sync for each small entry
      Map.Entry<Long, Long> entry = stored.pollFirstEntry();
      oldest.add(Payloads.entry(entry.getKey()));
      liveBytes -= entry.getValue();
    }
    tier.remove(oldest);
  }

  private void verifyAll(SsdTier tier) throws IOException {
    assertEquals(stored.size(), Entries.ids(tier).size());
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment target = Entries.target(arena, 2 << 20);
      for (long number : stored.keySet()) {
        long version = Entries.version(tier, Payloads.entry(number), 0, target);
        assertTrue(version > 0 && version == Entries.version(tier, Payloads.entry(number), 1, target),
            "lost");
      }
    }
  }

  @Test
  void smallerCapacityDropsWhatDoesNotFit() throws IOException {
    try (SsdTier tier = SsdTier.builder(directory, 32 << 20).open()) {
      while (Entries.store(tier, Payloads.entry(next), next, 3000, 400_000)) {
        next++;
      }
    }
    long before = next;
    for (long capacity : new long[] {24 << 20, 12 << 20, 8 << 20}) {
      try (SsdTier tier = SsdTier.builder(directory, capacity).open(); Arena arena = Arena.ofConfined()) {
        long entries = tier.usage().entries();
        assertEquals(before - entries, tier.stats().shrunkEntries());
        assertTrue(Directories.bytes(directory) <= capacity && tier.usage().usedBytes() <= capacity);
        assertTrue(tier.usage().usedBytes() > capacity * 7 / 10,
            "dropped more than it had to: " + tier.usage());
        MemorySegment target = Entries.target(arena, 400_000);
        for (EntryId id : Entries.ids(tier)) {
          assertEquals(Entries.version(tier, id, 0, target), Entries.version(tier, id, 1, target));
        }
        before = entries;
      }
    }
  }

  /** Goal: a large index comes back fast. The deadline is generous; the figure is printed. */
  @Test
  void manyEntriesComeBackFast() throws IOException {
    int entries = 100_000;
    try (SsdTier tier = SsdTier.builder(directory, 256 << 20).open()) {
      for (int i = 0; i < entries; i++) {
        assertTrue(Entries.store(tier, Payloads.entry(i), i, 64));
      }
    }
    long start = System.nanoTime();
    try (SsdTier tier = SsdTier.builder(directory, 256 << 20).open()) {
      long opened = System.nanoTime();
      assertEquals(entries, tier.usage().entries());
      assertEquals(entries, Entries.ids(tier).size());
      long listed = System.nanoTime();
      System.out.printf("%d entries: open %.3f s, inventory %.3f s%n", entries, (opened - start) / 1e9,
          (listed - opened) / 1e9);
      assertTrue(listed - start < 20_000_000_000L, "took " + (listed - start) + " ns");
    }
  }

  private static long bytes(long[] parts) {
    long bytes = 0;
    for (long part : parts) {
      bytes += part;
    }
    return bytes;
  }
}
