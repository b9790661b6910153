package io.kvcache.testkit;

import io.kvcache.ChunkKey;
import io.kvcache.KvHalf;
import java.lang.foreign.MemorySegment;

/**
 * KV that follows from the chunk's key, the layer and the half, so that a reader can tell whether bytes are right
 * without having kept them. Every other chunk ends in zeros, so that it can be compressed.
 */
public final class KvPayloads {
  private static final long VERSION = 1;

  private KvPayloads() {}

  /** Fills one half of one layer of one chunk. */
  public static void fill(MemorySegment rows, ChunkKey key, int layer, KvHalf half) {
    Payloads.fill(rows, key, 2L * layer + half.ordinal(), VERSION);
    if ((key.word1() & 1) == 0) {
      rows.asSlice(rows.byteSize() / 2).fill((byte) 0);
    }
  }

  /**
   * Offset of the first byte that is wrong; -1 when all are right.
   *
   * @param truncated whether the bytes went through {@link TruncatingCompressor}
   */
  public static long mismatch(MemorySegment rows, ChunkKey key, int layer, KvHalf half, boolean truncated) {
    byte[] expected = new byte[Math.toIntExact(rows.byteSize())];
    MemorySegment right = MemorySegment.ofArray(expected);
    fill(right, key, layer, half);
    for (int at = 0; truncated && at < expected.length; at++) {
      expected[at] = TruncatingCompressor.decoded(expected[at]);
    }
    return right.mismatch(rows);
  }
}
