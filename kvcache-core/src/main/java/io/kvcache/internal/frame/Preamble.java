package io.kvcache.internal.frame;

import io.kvcache.ChunkKey;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.MemorySegment;

/**
 * The first 64 bytes of every part, by which it is judged alone: whose it is, which part, how long.
 *
 * <pre>
 *  0 u32 magic "KVF1"      4 u8 format version   5 u8 variant class   6 u16 part number
 *  8 32 bytes chunk key   40 u64 generation     48 u64 part length
 * 56 u16 codec           58 u16 zero            60 u32 CRC32C of 0..59
 * </pre>
 */
final class Preamble {
  /** Bytes of a preamble. */
  static final int BYTES = 64;

  /** The format version this code writes and reads. */
  private static final int VERSION = 1;

  private static final int MAGIC = 'K' | 'V' << 8 | 'F' << 16 | '1' << 24;
  private static final int CODEC_AT = 56;
  private static final int ZERO_AT = 58;
  private static final int CRC_AT = 60;

  private Preamble() {}

  /** Writes the preamble of part {@code part}, {@code length} bytes long, of a frame in this encoding. */
  static void write(MemorySegment target, EntryId id, long generation, int codec, int part, long length) {
    target.set(Wire.INT, 0, MAGIC);
    target.set(Wire.BYTE, 4, (byte) VERSION);
    target.set(Wire.BYTE, 5, (byte) id.variantClass().number());
    target.set(Wire.SHORT, 6, (short) part);
    id.key().write(target, 8);
    target.set(Wire.LONG, 40, generation);
    target.set(Wire.LONG, 48, length);
    target.set(Wire.SHORT, CODEC_AT, (short) codec);
    target.set(Wire.SHORT, ZERO_AT, (short) 0);
    target.set(Wire.INT, CRC_AT, Checksums.crc(target.asSlice(0, CRC_AT)));
  }

  /**
   * Checks that {@code part} begins with the preamble of just this part of just this entry.
   *
   * @return the part's length
   * @throws MalformedDataException when it does not
   */
  static long verify(MemorySegment part, EntryId id, long generation, int number)
      throws MalformedDataException {
    if (!matches(part, id, generation, number)) {
      throw mismatch(part, id, generation, number);
    }
    return part.get(Wire.LONG, 48);
  }

  /** All of it at once, for the usual case. */
  private static boolean matches(MemorySegment part, EntryId id, long generation, int number) {
    return part.byteSize() >= BYTES
        && part.get(Wire.INT, 0) == MAGIC
        && part.get(Wire.BYTE, 4) == VERSION
        && part.get(Wire.BYTE, 5) == id.variantClass().number()
        && Short.toUnsignedInt(part.get(Wire.SHORT, 6)) == number
        && part.get(Wire.LONG, 8) == id.key().word0()
        && part.get(Wire.LONG, 16) == id.key().word1()
        && part.get(Wire.LONG, 24) == id.key().word2()
        && part.get(Wire.LONG, 32) == id.key().word3()
        && part.get(Wire.LONG, 40) == generation
        && part.get(Wire.LONG, 48) >= BYTES
        && part.get(Wire.LONG, 48) <= part.byteSize()
        && part.get(Wire.SHORT, ZERO_AT) == 0
        && part.get(Wire.INT, CRC_AT) == Checksums.crc(part.asSlice(0, CRC_AT));
  }

  /** What is wrong first, in the order in which one would ask. */
  private static MalformedDataException mismatch(MemorySegment part, EntryId id, long generation,
      int number) {
    try {
      require(part.byteSize() >= BYTES, "part has %d bytes, a preamble needs %d", part.byteSize(), BYTES);
      int magic = part.get(Wire.INT, 0);
      require(magic == MAGIC, "magic is %08x, expected %08x", magic, MAGIC);
      int version = Byte.toUnsignedInt(part.get(Wire.BYTE, 4));
      require(version == VERSION, "format version is %d, expected %d", version, VERSION);
      int crc = Checksums.crc(part.asSlice(0, CRC_AT));
      require(part.get(Wire.INT, CRC_AT) == crc, "preamble checksum is wrong, computed %08x", crc);
      ChunkKey key = ChunkKey.read(part, 8);
      require(key.equals(id.key()), "chunk key is %s, expected %s", key, id.key());
      int variant = Byte.toUnsignedInt(part.get(Wire.BYTE, 5));
      require(variant == id.variantClass().number(), "variant class is %d, expected %s", variant,
          id.variantClass());
      int found = Short.toUnsignedInt(part.get(Wire.SHORT, 6));
      require(found == number, "part number is %d, expected %d", found, number);
      long written = part.get(Wire.LONG, 40);
      require(written == generation, "generation is %x, expected %x", written, generation);
      require(part.get(Wire.SHORT, ZERO_AT) == 0, "a reserved field of the preamble is not zero");
      return new MalformedDataException(
          "part length is " + part.get(Wire.LONG, 48) + " of " + part.byteSize());
    } catch (MalformedDataException problem) {
      return problem;
    }
  }

  /** Number of the encoding that a verified preamble names. */
  static int codec(MemorySegment part) {
    return Short.toUnsignedInt(part.get(Wire.SHORT, CODEC_AT));
  }

  static void require(boolean holds, String message, Object... values) throws MalformedDataException {
    if (!holds) {
      throw new MalformedDataException(message.formatted(values));
    }
  }
}
