package io.kvcache.testkit;

import io.kvcache.ChunkKey;
import io.kvcache.Fidelity;
import io.kvcache.KvHalf;
import java.lang.foreign.MemorySegment;

/**
 * KV that follows from the chunk's key, the layer, the half and a version, so that a reader can tell whether bytes
 * are right, and when they were stored, without having kept them. Real KV has one version: it follows from the key.
 * Every other chunk ends in zeros, so that it can be compressed.
 */
public final class KvPayloads {
  /** The version where none is given. */
  public static final long VERSION = 1;

  private KvPayloads() {}

  /** Fills one half of one layer of one chunk. */
  public static void fill(MemorySegment rows, ChunkKey key, int layer, KvHalf half) {
    fill(rows, key, layer, half, VERSION);
  }

  /** As {@link #fill(MemorySegment, ChunkKey, int, KvHalf)}, in this version. */
  public static void fill(MemorySegment rows, ChunkKey key, int layer, KvHalf half, long version) {
    Payloads.fill(rows, key, stream(layer, half), version);
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
    return mismatch(rows, key, layer, half, fidelity, VERSION);
  }

  /** As {@link #mismatch(MemorySegment, ChunkKey, int, KvHalf, Fidelity)}, in this version. */
  public static long mismatch(MemorySegment rows, ChunkKey key, int layer, KvHalf half, Fidelity fidelity,
      long version) {
    byte[] expected = new byte[Math.toIntExact(rows.byteSize())];
    MemorySegment right = MemorySegment.ofArray(expected);
    fill(right, key, layer, half, version);
    for (int at = 0; !fidelity.exact() && at < expected.length; at++) {
      expected[at] = TruncatingCompressor.decoded(expected[at], fidelity);
    }
    return right.mismatch(rows);
  }

  /** The version that exact rows claim to be of; {@link #mismatch} says whether they are. */
  public static long version(MemorySegment rows, ChunkKey key, int layer, KvHalf half) {
    return Payloads.version(rows, key, stream(layer, half));
  }

  private static long stream(int layer, KvHalf half) {
    return 2L * layer + half.ordinal();
  }
}
