package io.kvcache.tiers;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.spi.Deadline;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.ReadResult;
import io.kvcache.spi.TierWrite;
import io.kvcache.testkit.Payloads;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** How long reading a MiB takes, alone and beside somebody who stores without a pause. Prints; fails on wrong bytes. */
@Tag("long")
@Timeout(600)
final class SsdLatencyTest {
  private static final long PART = 1 << 20;
  private static final int PARTS_AN_ENTRY = 8;
  private static final int ENTRIES = 64;
  private static final int ROUNDS = Integer.getInteger("test.rounds", 5);
  private static final long ROUND_NANOS = 1_000_000_000L;

  @TempDir
  Path directory;

  private static long[] parts() {
    long[] parts = new long[PARTS_AN_ENTRY];
    Arrays.fill(parts, PART);
    return parts;
  }

  @Test
  void readsBesideAWriter() throws Exception {
    String[] names = {"alone", "beside a writer of parts of 1 MiB", "beside a writer of parts of 32 MiB"};
    long[][] written = {{}, parts(), {32 << 20}};
    long[][] nanos = new long[names.length][0];
    long[] writtenBytes = new long[names.length];
    try (SsdTier tier = SsdTier.builder(directory, 2L << 30).freeSpaceFloorBytes(0).open();
        Arena arena = Arena.ofConfined()) {
      for (int number = 0; number < ENTRIES; number++) {
        assertTrue(Entries.store(tier, Payloads.entry(number), 1, parts()));
      }
      MemorySegment target = Entries.target(arena, PART);
      for (int round = 0; round < ROUNDS; round++) {
        for (int mode = 0; mode < names.length; mode++) {
          AtomicLong bytes = new AtomicLong();
          long[] more = mode == 0 ? read(tier, target, round)
              : readBesideWriter(tier, target, round, written[mode], bytes);
          int before = nanos[mode].length;
          nanos[mode] = Arrays.copyOf(nanos[mode], before + more.length);
          System.arraycopy(more, 0, nanos[mode], before, more.length);
          writtenBytes[mode] += bytes.get();
        }
      }
    }
    for (int mode = 0; mode < names.length; mode++) {
      Arrays.sort(nanos[mode]);
      System.out.printf(
          "%s: %d reads of 1 MiB, p50 %.2f ms, p99 %.2f ms, longest %.2f ms; %.0f MB/s written%n",
          names[mode], nanos[mode].length, at(nanos[mode], 0.5), at(nanos[mode], 0.99), at(nanos[mode], 1),
          writtenBytes[mode] / 1e6 / ROUNDS / (ROUND_NANOS / 1e9));
    }
  }

  private static double at(long[] sorted, double quantile) {
    return sorted[(int) Math.min(sorted.length - 1, sorted.length * quantile)] / 1e6;
  }

  private static long[] readBesideWriter(SsdTier tier, MemorySegment target, int seed, long[] parts,
      AtomicLong bytes) throws Exception {
    AtomicBoolean over = new AtomicBoolean();
    Thread writer = Thread.ofPlatform().start(() -> {
      EntryId id = Payloads.entry(1000);
      try {
        while (!over.get()) {
          try (TierWrite write = tier.create(id, Entries.NOTE, parts).orElseThrow()) {
            write.commit(parts);
          }
          bytes.addAndGet(Arrays.stream(parts).sum());
          tier.remove(List.of(id));
        }
      } catch (IOException e) {
        throw new IllegalStateException(e);
      }
    });
    try {
      return read(tier, target, seed);
    } finally {
      over.set(true);
      writer.join();
    }
  }

  private static long[] read(SsdTier tier, MemorySegment target, int seed) {
    SplittableRandom random = new SplittableRandom(seed);
    long[] nanos = new long[1 << 16];
    int count = 0;
    long start = System.nanoTime();
    while (System.nanoTime() - start < ROUND_NANOS) {
      EntryId id = Payloads.entry(random.nextInt(ENTRIES));
      int part = random.nextInt(PARTS_AN_ENTRY);
      long begun = System.nanoTime();
      ReadResult result = tier.read(id, part, target, Deadline.never());
      nanos[count++] = System.nanoTime() - begun;
      assertTrue(result instanceof ReadResult.Present present && present.bytes() == PART);
    }
    assertTrue(Entries.version(tier, Payloads.entry(0), 0, target) == 1);
    return Arrays.copyOf(nanos, count);
  }
}
