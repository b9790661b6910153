package io.kvcache.testkit;

import io.kvcache.ChunkKey;
import io.kvcache.Fidelity;
import io.kvcache.KvHalf;
import java.lang.foreign.MemorySegment;

/**
 * KV that follows from the chunk's key, the layer and the half, so that a reader can tell whether bytes are
 * right without having kept them. Every other chunk ends in zeros, so that it can be compressed.
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
   * @param fidelity what the bytes went through, by {@link TruncatingCompressor} where it is not exact
   */
  public static long mismatch(MemorySegment rows, ChunkKey key, int layer, KvHalf half, Fidelity fidelity) {
    byte[] expected = new byte[Math.toIntExact(rows.byteSize())];
    MemorySegment right = MemorySegment.ofArray(expected);
    fill(right, key, layer, half);
    for (int at = 0; !fidelity.exact() && at < expected.length; at++) {
      expected[at] = TruncatingCompressor.decoded(expected[at], fidelity);
    }
    return right.mismatch(rows);
  }
}
