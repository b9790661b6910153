package io.kvcache.bench.limits;

import io.kvcache.ChunkKey;
import io.kvcache.internal.memory.LargePages;
import io.kvcache.spi.Deadline;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.ReadResult;
import io.kvcache.spi.TierWrite;
import io.kvcache.spi.VariantClass;
import io.kvcache.tiers.SsdTier;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicLong;

/** An SSD tier used by itself: entries of large parts, the oldest making room for the newest. */
final class SsdEntries implements AutoCloseable {
  private static final byte[] NOTE = new byte[64];
  private static final int MOST_DEPTH = 4;

  private final SsdTier tier;
  private final Arena arena = Arena.ofShared();
  private final MemorySegment noise;
  private final List<MemorySegment> targets = new ArrayList<>();
  private final int parts;
  private final long partBytes;
  private final ConcurrentLinkedQueue<Long> oldestFirst = new ConcurrentLinkedQueue<>();
  private final AtomicLong nextNumber = new AtomicLong();

  SsdEntries(Path directory, long capacityBytes, int parts, long partBytes) throws IOException {
    this.parts = parts;
    this.partBytes = partBytes;
    tier = SsdTier.builder(directory, capacityBytes).freeSpaceFloorBytes(0)
        .stagingBytes((MOST_DEPTH + 1) * (entryBytes() + (1 << 20))).open();
    noise = arena.allocate(parts * partBytes, 4096);
    Data.fill(noise);
    MemorySegment read = LargePages.allocate(arena, MOST_DEPTH * partBytes); // as buffers of a cache are
    for (int target = 0; target < MOST_DEPTH; target++) {
      targets.add(read.asSlice(target * partBytes, partBytes));
    }
  }

  private static EntryId id(long number) {
    return new EntryId(new ChunkKey(number, number * 31, number * 63, number * 127), VariantClass.FULL);
  }

  private long entryBytes() {
    return parts * partBytes;
  }

  /** Stores so many bytes, some entries at a time; returns how many it really were. */
  long store(long bytes, int depth) throws IOException {
    int count = Math.toIntExact(bytes / entryBytes());
    long[] lengths = new long[parts];
    Arrays.fill(lengths, partBytes);
    Workers.run(depth, count, any -> {
      long number = nextNumber.getAndIncrement();
      Optional<TierWrite> write = tier.create(id(number), NOTE, lengths);
      while (write.isEmpty()) {
        Long oldest = oldestFirst.poll();
        if (oldest == null) {
          throw new IOException("there is no room for entry " + number);
        }
        tier.remove(List.of(id(oldest)));
        write = tier.create(id(number), NOTE, lengths);
      }
      try (TierWrite claimed = write.get()) {
        for (int part = 0; part < parts; part++) {
          claimed.part(part).copyFrom(noise.asSlice(part * partBytes, partBytes));
        }
        claimed.commit(lengths);
      }
      oldestFirst.add(number);
    });
    return count * entryBytes();
  }

  /** Reads every part once, some at a time; returns the bytes. */
  long read(int depth) throws IOException {
    List<Long> numbers = List.copyOf(oldestFirst);
    ConcurrentLinkedQueue<MemorySegment> free = new ConcurrentLinkedQueue<>(targets);
    Workers.run(depth, numbers.size() * parts, item -> {
      MemorySegment target = free.remove();
      ReadResult result = tier.read(id(numbers.get(item / parts)), item % parts, target, Deadline.never());
      if (!(result instanceof ReadResult.Present)) {
        throw new IOException(
            "part " + item % parts + " of entry " + numbers.get(item / parts) + ": " + result);
      }
      free.add(target);
    });
    return numbers.size() * entryBytes();
  }

  @Override
  public void close() throws IOException {
    try {
      tier.close();
    } finally {
      arena.close();
    }
  }
}
