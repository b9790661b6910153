package io.kvcache.tiers;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.CacheEvent;
import io.kvcache.KvCache;
import io.kvcache.KvLayout;
import io.kvcache.KvReservation;
import io.kvcache.KvReservation.Status;
import io.kvcache.LayerSpec;
import io.kvcache.Namespace;
import io.kvcache.testkit.LeakCheck;
import io.kvcache.testkit.TestPrompt;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * A cache over a tier that is sick for a while, and what both do about it together: nothing acknowledged is lost,
 * nothing removed comes back, and stores go to the tier again without a restart.
 */
@Timeout(120)
final class SickTierTest {
  private static final long DISK = 96 << 20;
  private static final long CAPACITY = 64 << 20;
  private static final int CONTEXTS = 10;
  private static final long HEALED_WITHIN_NANOS = TimeUnit.SECONDS.toNanos(30);

  /** Chunks of half a MiB. */
  private static final KvLayout LAYOUT = new KvLayout(List.of(LayerSpec.opaque(32 << 10)), 16);

  @TempDir
  Path scratch;

  private final List<CacheEvent> events = Collections.synchronizedList(new ArrayList<>());

  private static TestPrompt prompt(int number) {
    return TestPrompt.of(Namespace.of("model", LAYOUT), number, 2);
  }

  private KvCache open(SsdTier tier) throws IOException {
    return KvCache.builder(LAYOUT).tier(tier).listener(events::add).open();
  }

  private static SsdTier tier(Path directory) throws IOException {
    return SsdTier.builder(directory, CAPACITY).freeSpaceFloorBytes(0).open();
  }

  private static void storeAll(KvCache cache) throws IOException {
    for (int number = 0; number < CONTEXTS; number++) {
      assertEquals(Status.RESERVED, prompt(number).store(cache));
    }
    assertEquals(2, cache.remove(prompt(0).namespace(), prompt(0).tokens()));
    cache.flush();
  }

  private static void checkAll(KvCache cache) {
    assertEquals(0, prompt(0).find(cache), "what was removed is back");
    for (int number = 1; number < CONTEXTS; number++) {
      assertEquals(2, prompt(number).find(cache), "context " + number);
    }
  }

  private static long awaitStored(KvCache cache, TestPrompt prompt) {
    long start = System.nanoTime();
    LeakCheck.await("never stored", () -> prompt.store(cache) != Status.FULL);
    long took = System.nanoTime() - start;
    assertTrue(took < HEALED_WITHIN_NANOS, "took " + took + " ns");
    return took;
  }

  @Test
  void diskThatIsFullForAWhile() throws IOException {
    try (FullDisk disk = FullDisk.mount(scratch.resolve("disk"), DISK)) {
      try (KvCache cache = open(tier(disk.directory()))) {
        storeAll(cache);
        KvReservation begun = prompt(100).reserve(cache);
        prompt(100).write(begun);
        disk.fill();
        assertTrue(!begun.commit(), "there was space");
        begun.close();
        for (int attempt = 0; attempt < 20; attempt++) {
          assertEquals(Status.FULL, prompt(101).store(cache));
          assertEquals(Status.FULL, prompt(100).store(cache));
          checkAll(cache);
        }
        disk.drain();
        awaitStored(cache, prompt(101));
        awaitStored(cache, prompt(100));
        checkAll(cache);
        cache.flush();
      }
      checkAgain(disk.directory());
    }
  }

  /** Goal: the fences of the cache and the attempts of the tier do not keep each other waiting. */
  @Test
  void tierThatLosesItsIndexForAWhile() throws IOException {
    Path directory = scratch.resolve("tier");
    Path marker = directory.resolve(SsdMarker.FILE);
    Path aside = scratch.resolve("aside");
    SsdTier tier = tier(directory);
    try (KvCache cache = open(tier)) {
      storeAll(cache);
      KvReservation begun = prompt(100).reserve(cache);
      prompt(100).write(begun);
      Files.move(marker, aside); // so that the directory cannot be opened
      tier.store().records().fail(new IOException("injected"));
      assertTrue(!begun.commit());
      begun.close();
      assertThrows(IOException.class, cache::flush);
      checkAll(cache);
      LeakCheck.await("never fenced", () -> prompt(1).find(cache) == 0 && fenced(cache));
      for (int attempt = 0; attempt < 3; attempt++) {
        assertThrows(IOException.class, cache::flush);
        assertThrows(IOException.class, () -> cache.remove(prompt(9).namespace(), prompt(9).tokens()));
      }
      Files.move(aside, marker);
      long took = awaitStored(cache, prompt(100));
      LeakCheck.await("never read", () -> prompt(1).find(cache) == 2);
      System.out.printf("sick tier: stored %d ms after its disk was sound%n", took / 1_000_000);
      assertEquals(Status.RESERVED, prompt(101).store(cache));
      assertEquals(0, prompt(9).find(cache), "what was to be removed is back");
      assertEquals(Status.RESERVED, prompt(9).store(cache));
      checkAll(cache);
      cache.flush();
      assertTrue(events.contains(new CacheEvent.TierHealed("ssd")));
    }
    checkAgain(directory);
  }

  private static boolean fenced(KvCache cache) {
    return cache.stats().tiers().getFirst().fenced();
  }

  private void checkAgain(Path directory) throws IOException {
    try (KvCache cache = open(tier(directory))) {
      checkAll(cache);
      for (int number = 100; number < 102; number++) {
        assertEquals(2, prompt(number).find(cache), "context " + number);
      }
    }
  }
}
