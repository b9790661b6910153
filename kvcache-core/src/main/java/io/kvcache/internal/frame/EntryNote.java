package io.kvcache.internal.frame;

import io.kvcache.ChunkKey;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.MemorySegment;

/**
 * What the cache keeps with an entry in its tier's index: enough to put it back into the prefix tree at a warm
 * restart without reading a frame.
 *
 * @param root what the namespace's key chain starts from
 * @param previous key of the chunk before this one, or the root
 * @param chunkIndex position in the chain, from 0
 * @param generation as in the frame
 * @param codec number of the encoding
 * @param bytes length of all parts
 * @param lastUseMillis when a look-up last covered the chunk, in milliseconds since the epoch
 * @param frequency decayed number of uses at that time
 */
public record EntryNote(
    ChunkKey root, ChunkKey previous, int chunkIndex, long generation, int codec, long bytes,
    long lastUseMillis,
    double frequency) {
  private static final int VERSION = 1;
  private static final int LENGTH = 112;
  private static final int CRC_AT = LENGTH - Integer.BYTES;

  /** The bytes kept in the index. */
  public byte[] encode() {
    byte[] bytes = new byte[LENGTH];
    MemorySegment out = MemorySegment.ofArray(bytes);
    out.set(Wire.INT, 0, VERSION);
    root.write(out, 4);
    previous.write(out, 36);
    out.set(Wire.INT, 68, chunkIndex);
    out.set(Wire.LONG, 72, generation);
    out.set(Wire.INT, 80, codec);
    out.set(Wire.LONG, 84, this.bytes);
    out.set(Wire.LONG, 92, lastUseMillis);
    out.set(Wire.DOUBLE, 100, frequency);
    out.set(Wire.INT, CRC_AT, Checksums.crc(out.asSlice(0, CRC_AT)));
    return bytes;
  }

  /** Reads {@link #encode}'s bytes. */
  public static EntryNote decode(byte[] note) throws MalformedDataException {
    Preamble.require(note.length == LENGTH, "note has %d bytes, expected %d", note.length, LENGTH);
    MemorySegment in = MemorySegment.ofArray(note);
    int crc = Checksums.crc(in.asSlice(0, CRC_AT));
    Preamble.require(in.get(Wire.INT, CRC_AT) == crc, "note checksum is wrong, computed %08x", crc);
    int version = in.get(Wire.INT, 0);
    Preamble.require(version == VERSION, "note version is %d, expected %d", version, VERSION);
    int index = in.get(Wire.INT, 68);
    double frequency = in.get(Wire.DOUBLE, 100);
    long bytes = in.get(Wire.LONG, 84);
    int codec = in.get(Wire.INT, 80);
    Preamble.require(index >= 0 && bytes > 0 && codec >= 0 && codec <= Codecs.MAX_NUMBER,
        "note has chunk index %d, %d bytes, codec %d", index, bytes, codec);
    Preamble.require(frequency >= 0 && frequency < Double.POSITIVE_INFINITY, "note has frequency %s",
        frequency);
    return new EntryNote(
        ChunkKey.read(in, 4), ChunkKey.read(in, 36), index, in.get(Wire.LONG, 72), codec, bytes,
        in.get(Wire.LONG, 92), frequency);
  }
}
