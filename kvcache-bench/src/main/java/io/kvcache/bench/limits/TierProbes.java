package io.kvcache.bench.limits;

import io.kvcache.ChunkKey;
import io.kvcache.spi.Deadline;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.ReadResult;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierWrite;
import io.kvcache.spi.VariantClass;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.zip.CRC32C;

/**
 * The paths of one tier that is not memory, through its SPI and several at a time: what is stored is checksummed and
 * copied block by block, what is read is verified. Entries have the size of a usual chunk and together exceed the
 * caches.
 */
final class TierProbes implements ProbeGroup {
  private static final String STORE = "store";
  private static final int PARTS = 4;
  private static final long MAX_PART_BYTES = 1L << 20;
  private static final long BLOCK = 64L << 10; // small enough to stay in the cache between checksum and copy
  private static final byte[] NOTE = new byte[64];
  private static final int[] DEPTHS = {1, 2, 4};

  private final Tier tier;
  private final Arena arena = Arena.ofShared();
  private final MemorySegment source;
  private final MemorySegment target;
  private final long partBytes;
  private final List<EntryId> ids = new ArrayList<>();

  /**
   * Takes over an empty tier, which {@link #close} closes.
   *
   * @param bytes what the entries hold together; see {@link #capacityFor}
   */
  TierProbes(Tier tier, long bytes) {
    this.tier = tier;
    partBytes = Math.min(MAX_PART_BYTES, bytes / PARTS / Tier.ALIGNMENT * Tier.ALIGNMENT);
    long entries = bytes / (partBytes * PARTS);
    source = arena.allocate(entries * partBytes * PARTS, Tier.ALIGNMENT);
    target = arena.allocate(source.byteSize(), Tier.ALIGNMENT);
    Data.fill(source);
    target.fill((byte) 1);
    SplittableRandom random = new SplittableRandom(entries);
    for (long i = 0; i < entries; i++) {
      ChunkKey key = new ChunkKey(random.nextLong(), random.nextLong(), random.nextLong(), random.nextLong());
      ids.add(new EntryId(key, VariantClass.FULL));
    }
  }

  /** A capacity at which a tier holds {@code bytes} of entries with all it adds to them. */
  static long capacityFor(long bytes) {
    return bytes + bytes / 2 + (64L << 20);
  }

  @Override
  public List<Probe> probes() {
    List<Probe> probes = new ArrayList<>();
    for (int depth : DEPTHS) {
      probes.add(new Path(STORE, "x " + depth, DiskProbes.WRITE, () -> storeAll(depth)));
    }
    for (int depth : DEPTHS) {
      probes.add(new Path("verified read", "x " + depth, DiskProbes.READ, () -> readAll(depth)));
    }
    return probes;
  }

  private MemorySegment slice(MemorySegment all, int entry, int part) {
    return all.asSlice(((long) entry * PARTS + part) * partBytes, partBytes);
  }

  private void storeAll(int threads) throws IOException {
    long[] lengths = new long[PARTS];
    Arrays.fill(lengths, partBytes);
    Workers.run(threads, ids.size(), entry -> {
      try (TierWrite write = tier.create(ids.get(entry), NOTE, lengths)
          .orElseThrow(() -> new IOException(tier.name() + " has no room for entry " + entry))) {
        for (int part = 0; part < PARTS; part++) {
          checksumAndCopy(slice(source, entry, part), write.part(part));
        }
        write.commit(lengths);
      }
    });
    tier.flush();
  }

  private void readAll(int threads) throws IOException {
    Workers.run(threads, ids.size(), entry -> {
      for (int part = 0; part < PARTS; part++) {
        MemorySegment into = slice(target, entry, part);
        ReadResult result = tier.read(ids.get(entry), part, into, Deadline.never());
        if (!(result instanceof ReadResult.Present)) {
          throw new IOException(
              tier.name() + " cannot read back part " + part + " of entry " + entry + ": " + result);
        }
        Data.crc32c(into);
      }
    });
  }

  private static void checksumAndCopy(MemorySegment from, MemorySegment to) {
    CRC32C crc = new CRC32C();
    for (long at = 0; at < from.byteSize(); at += BLOCK) {
      long length = Math.min(BLOCK, from.byteSize() - at);
      crc.update(from.asSlice(at, length).asByteBuffer());
      MemorySegment.copy(from, at, to, at, length);
    }
  }

  @Override
  public void close() throws IOException {
    try {
      tier.close();
    } finally {
      arena.close();
    }
  }

  /** Work on all entries. */
  private interface Work {
    void run() throws IOException;
  }

  /** One path of this tier. */
  private final class Path implements PathProbe {
    private final String operation;
    private final String variant;
    private final String limit;
    private final Work work;

    Path(String operation, String variant, String limit, Work work) {
      this.operation = operation;
      this.variant = variant;
      this.limit = limit;
      this.work = work;
    }

    @Override
    public String family() {
      return tier.name() + ' ' + operation;
    }

    @Override
    public String variant() {
      return variant;
    }

    @Override
    public String limit() {
      return limit;
    }

    /** Storing starts from an empty tier; all else finds what the last pass of that left. */
    @Override
    public void prepare() throws IOException {
      if (operation.equals(STORE)) {
        tier.remove(ids);
      }
    }

    @Override
    public long pass() throws IOException {
      work.run();
      return source.byteSize();
    }
  }
}
