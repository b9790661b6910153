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
 *  8 32 bytes chunk key   40 u64 generation     48 u64 part length   56 u32 zero   60 u32 CRC32C of 0..59
 * </pre>
 */
public final class Preamble {
  /** Bytes of a preamble. */
  public static final int BYTES = 64;

  /** The format version this code writes and reads. */
  public static final int VERSION = 1;

  private static final int MAGIC = 'K' | 'V' << 8 | 'F' << 16 | '1' << 24;
  private static final int CRC_AT = 60;

  private Preamble() {}

  /** Writes the preamble of part {@code part}, {@code length} bytes long. */
  public static void write(MemorySegment target, EntryId id, long generation, int part, long length) {
    target.set(Wire.INT, 0, MAGIC);
    target.set(Wire.BYTE, 4, (byte) VERSION);
    target.set(Wire.BYTE, 5, (byte) id.variantClass().ordinal());
    target.set(Wire.SHORT, 6, (short) part);
    id.key().write(target, 8);
    target.set(Wire.LONG, 40, generation);
    target.set(Wire.LONG, 48, length);
    target.set(Wire.INT, 56, 0);
    target.set(Wire.INT, CRC_AT, Checksums.crc(target.asSlice(0, CRC_AT)));
  }

  /**
   * Checks that {@code part} begins with the preamble of just this part of just this entry.
   *
   * @return the part's length
   * @throws MalformedDataException when it does not
   */
  public static long verify(MemorySegment part, EntryId id, long generation, int number)
      throws MalformedDataException {
    require(part.byteSize() >= BYTES, "part has %d bytes, a preamble needs %d", part.byteSize(), BYTES);
    int magic = part.get(Wire.INT, 0);
    require(magic == MAGIC, "magic is %08x, expected %08x", magic, MAGIC);
    int version = part.get(Wire.BYTE, 4);
    require(version == VERSION, "format version is %d, expected %d", version, VERSION);
    int crc = Checksums.crc(part.asSlice(0, CRC_AT));
    require(part.get(Wire.INT, CRC_AT) == crc, "preamble checksum is wrong, computed %08x", crc);
    ChunkKey key = ChunkKey.read(part, 8);
    require(key.equals(id.key()), "chunk key is %s, expected %s", key, id.key());
    int variant = part.get(Wire.BYTE, 5);
    require(variant == id.variantClass().ordinal(), "variant class is %d, expected %s", variant,
        id.variantClass());
    int found = Short.toUnsignedInt(part.get(Wire.SHORT, 6));
    require(found == number, "part number is %d, expected %d", found, number);
    long written = part.get(Wire.LONG, 40);
    require(written == generation, "generation is %x, expected %x", written, generation);
    long length = part.get(Wire.LONG, 48);
    require(length >= BYTES && length <= part.byteSize(), "part length is %d of %d", length, part.byteSize());
    return length;
  }

  static void require(boolean holds, String message, Object... values) throws MalformedDataException {
    if (!holds) {
      throw new MalformedDataException(message.formatted(values));
    }
  }
}
