package io.kvcache.testkit;

import io.kvcache.ChunkKey;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.VariantClass;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/**
 * Bytes that follow from a key, a stream number and a version, so that whoever reads them can say whether
 * they are right without having kept a copy. A stream tells the pieces under one key apart: parts, layers,
 * halves.
 *
 * <p>The first eight bytes give the version back to who knows key and stream; every later word depends on all
 * three.
 */
public final class Payloads {
  private static final ValueLayout.OfLong WORD =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private Payloads() {}

  /** A key of its own for every number. */
  public static ChunkKey key(long number) {
    return new ChunkKey(mix(number), mix(number + 0x51ed2701L), mix(~number), number);
  }

  /** An entry of its own for every number; even ones are full, odd ones serving variants. */
  public static EntryId entry(long number) {
    return new EntryId(key(number >> 1), (number & 1) == 0 ? VariantClass.FULL : VariantClass.SERVING);
  }

  /** The stream of one part of an entry. */
  public static long stream(EntryId id, int part) {
    return 2L * part + id.variantClass().ordinal();
  }

  /** Fills all of {@code target}. */
  public static void fill(MemorySegment target, ChunkKey key, long stream, long version) {
    long words = target.byteSize() >> 3;
    for (long i = 0; i < words; i++) {
      target.set(WORD, i << 3, word(key, stream, version, i));
    }
    long tail = word(key, stream, version, words);
    for (long at = words << 3; at < target.byteSize(); at++, tail >>>= 8) {
      target.set(ValueLayout.JAVA_BYTE, at, (byte) tail);
    }
  }

  /** Offset of the first byte that {@link #fill} would not have put there; -1 when all are right. */
  public static long mismatch(MemorySegment bytes, ChunkKey key, long stream, long version) {
    long words = bytes.byteSize() >> 3;
    for (long i = 0; i < words; i++) {
      long wrong = bytes.get(WORD, i << 3) ^ word(key, stream, version, i);
      if (wrong != 0) {
        return (i << 3) + (Long.numberOfTrailingZeros(wrong) >> 3);
      }
    }
    long tail = word(key, stream, version, words);
    for (long at = words << 3; at < bytes.byteSize(); at++, tail >>>= 8) {
      if (bytes.get(ValueLayout.JAVA_BYTE, at) != (byte) tail) {
        return at;
      }
    }
    return -1;
  }

  /**
   * The version that these bytes, at least eight, claim to be of; {@link #mismatch} says whether they are.
   */
  public static long version(MemorySegment bytes, ChunkKey key, long stream) {
    return bytes.get(WORD, 0) ^ base(key, stream);
  }

  private static long word(ChunkKey key, long stream, long version, long index) {
    long base = base(key, stream) ^ version;
    return index == 0 ? base : mix(base + index * 0x9e3779b97f4a7c15L);
  }

  private static long base(ChunkKey key, long stream) {
    return mix(key.word0() + mix(key.word1() + mix(key.word2() + mix(key.word3() + mix(stream)))));
  }

  /** The finisher of SplitMix64: every input bit reaches every output bit. */
  private static long mix(long value) {
    long mixed = (value ^ (value >>> 30)) * 0xbf58476d1ce4e5b9L;
    mixed = (mixed ^ (mixed >>> 27)) * 0x94d049bb133111ebL;
    return mixed ^ (mixed >>> 31);
  }
}
