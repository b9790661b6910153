package io.kvcache;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.HexFormat;

/**
 * The identity of a chunk: 32 bytes that bind the namespace, every token up to the chunk's end, and whatever
 * else the caller said determines the KV. Two chunks with equal keys hold the same KV.
 *
 * <p>The rule by which the bytes are computed is in {@code FORMAT.md}, with test vectors. Never truncated in
 * anything that is compared. The four words are the bytes in order, each read little-endian.
 *
 * @param word0 bytes 0 to 7
 * @param word1 bytes 8 to 15
 * @param word2 bytes 16 to 23
 * @param word3 bytes 24 to 31
 */
public record ChunkKey(long word0, long word1, long word2, long word3) {
  /** Bytes of a key. */
  public static final int BYTES = 32;

  private static final ValueLayout.OfLong WORD =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /** The key whose {@value #BYTES} bytes stand in {@code source} at {@code offset}. */
  public static ChunkKey read(MemorySegment source, long offset) {
    return new ChunkKey(
        source.get(WORD, offset),
        source.get(WORD, offset + 8),
        source.get(WORD, offset + 16),
        source.get(WORD, offset + 24));
  }

  /** The key with these {@value #BYTES} bytes. */
  public static ChunkKey of(byte[] bytes) {
    Checks.requireBetween(bytes.length, BYTES, BYTES, "bytes of a chunk key");
    return read(MemorySegment.ofArray(bytes), 0);
  }

  /** Writes the {@value #BYTES} bytes into {@code target} at {@code offset}. */
  public void write(MemorySegment target, long offset) {
    target.set(WORD, offset, word0);
    target.set(WORD, offset + 8, word1);
    target.set(WORD, offset + 16, word2);
    target.set(WORD, offset + 24, word3);
  }

  /** The {@value #BYTES} bytes, in a new array. */
  public byte[] bytes() {
    byte[] bytes = new byte[BYTES];
    write(MemorySegment.ofArray(bytes), 0);
    return bytes;
  }

  /** The words are uniform already: any one is a good hash. */
  @Override
  public int hashCode() {
    return Long.hashCode(word0);
  }

  /** Lower-case hexadecimal, as in {@code FORMAT.md}. */
  @Override
  public String toString() {
    return HexFormat.of().formatHex(bytes());
  }
}
