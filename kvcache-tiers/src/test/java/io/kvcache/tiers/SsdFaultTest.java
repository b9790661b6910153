package io.kvcache.tiers;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.spi.Deadline;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.ReadResult;
import io.kvcache.spi.TierWrite;
import io.kvcache.testkit.Payloads;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Disks that fail, threads that are interrupted, tiers closed under their users. */
final class SsdFaultTest {
  private static final long CAPACITY = 32 << 20;
  private static final long[] PARTS = {1000, 1 << 20};

  @TempDir
  Path directory;

  @Test
  void afterOneFailureNothingIsWrittenAndReadsGoOn() throws IOException {
    EntryId id = Payloads.entry(1);
    try (SsdTier tier = open(); Arena arena = Arena.ofConfined()) {
      assertTrue(Entries.store(tier, id, 1, PARTS));
      TierWrite underWay = tier.create(Payloads.entry(2), Entries.NOTE, PARTS).orElseThrow();
      tier.store().records().fail(new IOException("injected"));
      assertFalse(tier.stats().writable());
      assertEquals(Optional.empty(), tier.create(Payloads.entry(3), Entries.NOTE, PARTS));
      assertFalse(tier.removalHelps(PARTS), "nothing is to be removed for it");
      IOException e = assertThrows(IOException.class, tier::flush);
      assertTrue(e.getMessage().contains("no writes until it has been opened again"), e.getMessage());
      assertEquals("injected", e.getCause().getMessage());
      assertThrows(IOException.class, () -> underWay.commit(PARTS));
      assertThrows(IOException.class, () -> tier.remove(List.of(id)));
      assertThrows(IOException.class, () -> tier.annotate(Map.of(id, new byte[1])));
      MemorySegment target = Entries.target(arena, PARTS[1]);
      assertEquals(1, Entries.version(tier, id, 0, target));
      assertEquals(1, Entries.version(tier, id, 1, target));
    }
    try (SsdTier tier = open()) {
      assertTrue(tier.stats().writable());
      assertEquals(1, tier.usage().entries());
    }
  }

  /** Goal: a call that hangs does not keep closing for ever, and what it uses is released afterwards. */
  @Test
  void closingGivesUpOnACallThatHangsAndCanBeTriedAgain() throws Exception {
    SsdTier tier = open();
    assertTrue(Entries.store(tier, Payloads.entry(1), 1, PARTS));
    CountDownLatch inside = new CountDownLatch(1);
    CountDownLatch gate = new CountDownLatch(1);
    FutureTask<Void> hanging = new FutureTask<>(() -> {
      tier.inventory(entry -> {
        inside.countDown();
        try {
          gate.await();
        } catch (InterruptedException e) {
          throw new IllegalStateException(e);
        }
      });
      return null;
    });
    Thread.ofPlatform().daemon().start(hanging);
    inside.await();
    assertThrows(IOException.class, () -> tier.close(1));
    assertThrows(IllegalStateException.class, tier::flush);
    assertThrows(IOException.class, this::open, "the directory is still taken");
    gate.countDown();
    hanging.get(30, TimeUnit.SECONDS);
    tier.close();
    tier.close();
    try (SsdTier again = open()) {
      assertEquals(1, again.usage().entries());
    }
  }

  @Test
  void failedSyncIsNeverTriedAgain() {
    AtomicInteger tries = new AtomicInteger();
    GroupSync sync = new GroupSync(() -> {
      tries.incrementAndGet();
      throw new IOException("injected");
    });
    assertThrows(IOException.class, sync::sync);
    assertThrows(IOException.class, sync::sync);
    assertEquals(1, tries.get());
  }

  /** Goal: a full disk costs the entry, not the tier. Method: a directory stands where a new file should be. */
  @Test
  void extentFileThatCannotGrowRefusesTheEntry() throws IOException {
    try (SsdTier tier = open(); Arena arena = Arena.ofConfined()) {
      assertTrue(Entries.store(tier, Payloads.entry(1), 1, 1000, 200_000));
      Path obstacle = Files.createDirectory(directory.resolve("extents-00001"));
      long used = tier.usage().usedBytes();
      assertThrows(IOException.class, () -> Entries.store(tier, Payloads.entry(2), 2, PARTS));
      assertEquals(used, tier.usage().usedBytes(), "the claim is given back");
      assertTrue(tier.stats().writable());
      assertEquals(1, Entries.version(tier, Payloads.entry(1), 1, Entries.target(arena, 200_000)));
      Files.delete(obstacle);
      assertTrue(Entries.store(tier, Payloads.entry(2), 2, PARTS));
    }
  }

  @Test
  void extentCutUnderAnOpenTierIsUnreadable() throws IOException {
    try (SsdTier tier = open(); Arena arena = Arena.ofConfined()) {
      assertTrue(Entries.store(tier, Payloads.entry(1), 1, PARTS));
      try (RandomAccessFile file = new RandomAccessFile(directory.resolve("extents-00000").toFile(), "rw")) {
        file.setLength(4096);
      }
      ReadResult result = tier.read(Payloads.entry(1), 1, Entries.target(arena, PARTS[1]), Deadline.never());
      assertInstanceOf(ReadResult.Unreadable.class, result);
    }
  }

  @Test
  void interruptedReaderHarmsNobody() throws Exception {
    try (SsdTier tier = open(); Arena arena = Arena.ofShared()) {
      assertTrue(Entries.store(tier, Payloads.entry(1), 1, PARTS));
      ExecutorService threads = Executors.newFixedThreadPool(3);
      try {
        List<Future<?>> running = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
          boolean interrupted = i == 0;
          MemorySegment target = Entries.target(arena, PARTS[1]);
          running.add(threads.submit(() -> readAll(tier, target, interrupted)));
        }
        for (Future<?> each : running) {
          each.get(60, TimeUnit.SECONDS);
        }
      } finally {
        threads.shutdownNow();
        assertTrue(threads.awaitTermination(60, TimeUnit.SECONDS));
      }
      Thread.currentThread().interrupt();
      assertTrue(Entries.store(tier, Payloads.entry(2), 2, PARTS),
          "an interrupted writer stores all the same");
      assertTrue(Thread.interrupted(), "and stays interrupted");
    }
  }

  private static void readAll(SsdTier tier, MemorySegment target, boolean interrupted) {
    for (int i = 0; i < 100; i++) {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
      assertEquals(1, Entries.version(tier, Payloads.entry(1), 1, target));
      assertEquals(interrupted, Thread.interrupted());
    }
  }

  /** Goal: closing waits for calls under way and turns later ones away, without a crash of the process. */
  @Test
  void closedUnderItsUsers() throws Exception {
    ExecutorService threads = Executors.newFixedThreadPool(4);
    try (Arena arena = Arena.ofShared()) {
      for (int round = 0; round < 5; round++) {
        SsdTier tier = open();
        Entries.store(tier, Payloads.entry(1), 1, PARTS);
        AtomicInteger calls = new AtomicInteger();
        List<Future<?>> running = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
          int worker = i;
          MemorySegment target = Entries.target(arena, PARTS[1]);
          running.add(threads.submit(() -> useUntilClosed(tier, worker, target, calls)));
        }
        while (calls.get() < 20 * (round + 1)) {
          Thread.onSpinWait();
        }
        tier.close();
        for (Future<?> each : running) {
          each.get(60, TimeUnit.SECONDS);
        }
      }
    } finally {
      threads.shutdownNow();
      assertTrue(threads.awaitTermination(60, TimeUnit.SECONDS));
    }
  }

  private static Void useUntilClosed(SsdTier tier, int worker, MemorySegment target, AtomicInteger calls)
      throws IOException {
    try {
      while (true) {
        if (worker == 0) {
          Entries.store(tier, Payloads.entry(2), 2, 1000, 70_000);
        } else if (worker == 1) {
          Entries.ids(tier);
        } else {
          assertEquals(1, Entries.version(tier, Payloads.entry(1), worker % 2, target));
        }
        calls.incrementAndGet();
      }
    } catch (IllegalStateException e) {
      return null; // closed: the tier says so, or the memory of a write is gone
    }
  }

  @Test
  void stagingIsBoundedAndComesBack() throws IOException {
    try (SsdTier tier = SsdTier.builder(directory, CAPACITY).stagingBytes(2 << 20).open()) {
      long[] half = {1 << 20};
      TierWrite first = tier.create(Payloads.entry(1), Entries.NOTE, half).orElseThrow();
      TierWrite second = tier.create(Payloads.entry(2), Entries.NOTE, half).orElseThrow();
      assertEquals(0, second.part(0).address() % 4096);
      long used = tier.usage().usedBytes();
      assertEquals(Optional.empty(), tier.create(Payloads.entry(3), Entries.NOTE, new long[] {1}));
      assertEquals(used, tier.usage().usedBytes());
      first.close();
      second.commit(half);
      assertTrue(tier.create(Payloads.entry(3), Entries.NOTE, new long[] {1 << 20, 1 << 20}).isPresent());
    }
  }

  /** Goal: a process without memory for it has a tier that is full. */
  @Test
  void stagingThatCannotBeHadIsNoRoom() {
    try (Staging staging = new Staging(1L << 46)) {
      assertEquals(Optional.empty(), staging.take(new long[] {1}));
      assertFalse(staging.has(new long[] {1}));
    }
  }

  /** Goal: parts are really read from the device. Method: the process's own count of bytes fetched from there. */
  @Test
  void readsPassThePageCache() throws IOException {
    Path counters = Path.of("/proc/self/io");
    try (SsdTier tier = open(); Arena arena = Arena.ofConfined()) {
      assertTrue(Entries.store(tier, Payloads.entry(1), 1, PARTS));
      MemorySegment target = Entries.target(arena, PARTS[1]);
      if (!tier.stats().directIo() || !Files.isReadable(counters)) {
        assertEquals(1, Entries.version(tier, Payloads.entry(1), 1, target));
        return; // nothing to count here; the part must be readable all the same
      }
      long before = readBytes(counters);
      for (int i = 0; i < 10; i++) {
        assertEquals(1, Entries.version(tier, Payloads.entry(1), 1, target));
      }
      assertTrue(readBytes(counters) - before >= 10 * PARTS[1], "came from the page cache");
    }
  }

  private static long readBytes(Path counters) throws IOException {
    try (Stream<String> lines = Files.lines(counters)) {
      return lines.filter(line -> line.startsWith("read_bytes: "))
          .mapToLong(line -> Long.parseLong(line.substring(12))).findFirst().orElseThrow();
    }
  }

  private SsdTier open() throws IOException {
    return SsdTier.builder(directory, CAPACITY).stagingBytes(8 << 20).pauses(Long.MAX_VALUE, Long.MAX_VALUE)
        .open(); // what is injected stays
  }
}
