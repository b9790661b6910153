package io.kvcache.bench.limits;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.function.LongBinaryOperator;

/**
 * How fast one thread copies and checks memory. Each pass goes once through the whole of source and target, which
 * must exceed the processor's caches: a buffer that stays in a cache flatters everything.
 */
final class MemoryProbes implements ProbeGroup {
  static final String COPY = "copy";
  static final String BLOCK_COPY = "block copy";
  static final String CRC32C = "crc32c";

  private static final long LARGE_BLOCK = 4L << 20;
  private static final long CRC_BLOCK = 1L << 20;
  private static final int CACHE_LINE = 64;

  private final Arena arena = Arena.ofShared();
  private final MemorySegment source;
  private final MemorySegment target;
  private long sink; // keeps what is read from being optimised away

  /** Allocates and fills {@code bytes} twice. */
  MemoryProbes(long bytes) {
    source = arena.allocate(bytes, CACHE_LINE);
    target = arena.allocate(bytes, CACHE_LINE);
    Data.fill(source);
    target.fill((byte) 1); // backs every page with memory of its own
  }

  @Override
  public List<Probe> probes() {
    List<Probe> probes = new ArrayList<>();
    probes.add(new BlockProbe(COPY, "", LARGE_BLOCK, this::copy));
    for (long block : new long[] {64L << 10, 128L << 10, 256L << 10}) {
      probes.add(new BlockProbe(BLOCK_COPY, Units.bytes(block), block, this::touchAndCopy));
    }
    probes.add(new BlockProbe(CRC32C, "", CRC_BLOCK, this::checksum));
    return probes;
  }

  private long copy(long at, long length) {
    MemorySegment.copy(source, at, target, at, length);
    return 0;
  }

  /** Brings the block into the cache before it copies it, as code does that verifies first. */
  private long touchAndCopy(long at, long length) {
    long sum = 0;
    for (long line = at; line + Long.BYTES <= at + length; line += CACHE_LINE) {
      sum += source.get(ValueLayout.JAVA_LONG_UNALIGNED, line);
    }
    MemorySegment.copy(source, at, target, at, length);
    return sum;
  }

  private long checksum(long at, long length) {
    return Data.crc32c(source.asSlice(at, length));
  }

  @Override
  public void close() {
    arena.close();
  }

  /** Applies one operation to block after block. */
  private final class BlockProbe implements Probe {
    private final String family;
    private final String variant;
    private final long block;
    private final LongBinaryOperator operation;

    BlockProbe(String family, String variant, long block, LongBinaryOperator operation) {
      this.family = family;
      this.variant = variant;
      this.block = block;
      this.operation = operation;
    }

    @Override
    public String family() {
      return family;
    }

    @Override
    public String variant() {
      return variant;
    }

    @Override
    public long pass() {
      long size = source.byteSize();
      for (long at = 0; at < size; at += block) {
        sink += operation.applyAsLong(at, Math.min(block, size - at));
      }
      return size;
    }
  }
}
