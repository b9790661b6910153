package io.kvcache.internal.engine;

import io.kvcache.ChunkKey;
import io.kvcache.Encoding;
import io.kvcache.KvHalf;
import io.kvcache.KvShape;
import io.kvcache.LayerSpec;
import io.kvcache.internal.prune.Gather;
import io.kvcache.internal.prune.Kept;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Map;

/** An encoding to be tried out on chunks, without storing anything. Threads: any. */
final class Trial {
  private static final System.Logger LOG = System.getLogger("io.kvcache");
  private static final int ALIGNMENT = 64;

  private final Resources shared;
  private final Encoding encoding;
  private final Map<ChunkKey, Kept> keptByChunk;
  private volatile boolean failed;

  /**
   * A trial.
   *
   * @param encoding which
   * @param keptByChunk the tokens it keeps; empty where it drops none
   */
  Trial(Resources shared, Encoding encoding, Map<ChunkKey, Kept> keptByChunk) {
    this.shared = shared;
    this.encoding = encoding;
    this.keptByChunk = keptByChunk;
  }

  Encoding encoding() {
    return encoding;
  }

  /** Whether the compressor failed: what was read since is undefined, and nothing can be stored so. */
  boolean failed() {
    return failed;
  }

  /** The tokens kept of a chunk. */
  Kept kept(ChunkKey chunk) {
    return keptByChunk.get(chunk);
  }

  /**
   * A half as a reader would have it: encoded and decoded, what is kept of it where tokens are dropped.
   *
   * @param dense the exact rows of all tokens
   * @return {@code [row][kvHead × dim]}, memory of the arena
   */
  MemorySegment rows(Arena arena, ChunkKey chunk, int layer, KvHalf half, MemorySegment dense) {
    LayerSpec spec = shared.plan.layout().layer(layer);
    int tokens = shared.plan.layout().chunkTokens();
    int count = encoding.dropsTokens() ? kept(chunk).count(layer) : tokens;
    MemorySegment rows = arena.allocate((long) count * spec.rowBytes(half), ALIGNMENT);
    if (rows.byteSize() == 0) {
      return rows;
    }
    if (encoding.dropsTokens()) {
      Gather.rows(spec, half, dense, kept(chunk), layer, rows);
    } else {
      rows.copyFrom(dense);
    }
    if (encoding.codec() != 0 && !failed) {
      roundTrip(spec.shape(half, count), rows);
    }
    return rows;
  }

  private void roundTrip(KvShape shape, MemorySegment rows) {
    Compressor compressor = shared.codecs.get(encoding.codec());
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment stored = arena.allocate(compressor.maxStoredBytes(shape), ALIGNMENT);
      long length = compressor.compress(shape, rows, stored);
      compressor.decompress(shape, compressor.parameters(), stored.asSlice(0, length), rows);
    } catch (MalformedDataException | RuntimeException | LinkageError e) {
      // Not thrown: it would end in whoever reads, which may be the engine's probe, and be taken for its failure.
      failed = true;
      LOG.log(System.Logger.Level.WARNING, compressor.name() + " failed to encode and decode a trial", e);
    }
  }
}
