package io.kvcache.internal.frame;

import io.kvcache.ChunkKey;
import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Set;
import java.util.zip.CRC32C;

/**
 * What the cache keeps with an entry in its tier's index: enough to put it back into the prefix tree at a warm
 * restart without reading a frame.
 *
 * @param root what the namespace's key chain starts from
 * @param previous key of the chunk before this one, or the root
 * @param chunkIndex position in the chain, from 0
 * @param generation as in the frame
 * @param encoding how it is encoded
 * @param bytes length of all parts
 * @param lastUseMillis when a look-up last covered the chunk, in milliseconds since the epoch
 * @param frequency decayed number of uses at that time
 * @param uses number of uses, not decayed
 * @param expiryMillis from when on it counts as not there, in milliseconds since the epoch; 0 for never
 * @param scored methods that its frame, if full, carries scores for
 * @param profile what was measured of its context
 */
public record EntryNote(
    ChunkKey root, ChunkKey previous, int chunkIndex, long generation, Encoding encoding, long bytes,
    long lastUseMillis, double frequency, long uses, long expiryMillis, Set<DropMethod> scored,
    Profile profile) {
  /** Most candidates a note has room for. */
  public static final int MAX_CANDIDATES = 94;

  private static final int VERSION = 3;
  private static final int PROFILE_AT = 124;
  private static final int LOSSES_AT = PROFILE_AT + 8;

  /**
   * What was measured of the chunk's context.
   *
   * @param candidates stands for the list of encodings that were measured
   * @param lossPerChunk for each of them what one chunk adds to the loss, NaN where unknown; empty for no profile
   */
  public record Profile(int candidates, float[] lossPerChunk) {
    /** Nothing was measured. */
    public static final Profile NONE = new Profile(0, new float[0]);

    /** A number that stands for a list of candidates, the same in every process. */
    public static int fingerprint(List<Encoding> candidates) {
      CRC32C crc = new CRC32C();
      for (Encoding each : candidates) {
        crc.update(each.codec() & 0xFF);
        crc.update(each.codec() >>> 8);
        crc.update(Codecs.dropping(each));
        crc.update(each.retainedPercent());
      }
      return (int) crc.getValue();
    }
  }

  /** The bytes kept in the index. */
  public byte[] encode() {
    float[] losses = profile.lossPerChunk;
    byte[] bytes = new byte[LOSSES_AT + losses.length * Float.BYTES + Integer.BYTES];
    MemorySegment out = MemorySegment.ofArray(bytes);
    out.set(Wire.INT, 0, VERSION);
    root.write(out, 4);
    previous.write(out, 36);
    out.set(Wire.INT, 68, chunkIndex);
    out.set(Wire.LONG, 72, generation);
    out.set(Wire.SHORT, 80, (short) encoding.codec());
    out.set(Wire.BYTE, 82, (byte) Codecs.dropping(encoding));
    out.set(Wire.BYTE, 83, (byte) encoding.retainedPercent());
    out.set(Wire.LONG, 84, this.bytes);
    out.set(Wire.LONG, 92, lastUseMillis);
    out.set(Wire.DOUBLE, 100, frequency);
    out.set(Wire.LONG, 108, uses);
    out.set(Wire.LONG, 116, expiryMillis);
    out.set(Wire.INT, PROFILE_AT, profile.candidates);
    out.set(Wire.SHORT, PROFILE_AT + 4, (short) losses.length);
    out.set(Wire.SHORT, PROFILE_AT + 6, (short) ChunkScores.mask(scored));
    for (int candidate = 0; candidate < losses.length; candidate++) {
      out.set(Wire.INT, LOSSES_AT + (long) candidate * Float.BYTES,
          Float.floatToRawIntBits(losses[candidate]));
    }
    out.set(Wire.INT, crcAt(bytes), Checksums.crc(out.asSlice(0, crcAt(bytes))));
    return bytes;
  }

  private static int crcAt(byte[] note) {
    return note.length - Integer.BYTES;
  }

  /** Reads {@link #encode}'s bytes. */
  public static EntryNote decode(byte[] note) throws MalformedDataException {
    int least = LOSSES_AT + Integer.BYTES;
    Preamble.require(note.length >= least, "note has %d bytes, expected at least %d", note.length, least);
    MemorySegment in = MemorySegment.ofArray(note);
    int crc = Checksums.crc(in.asSlice(0, crcAt(note)));
    Preamble.require(in.get(Wire.INT, crcAt(note)) == crc, "note checksum is wrong, computed %08x", crc);
    int version = in.get(Wire.INT, 0);
    Preamble.require(version == VERSION, "note version is %d, expected %d", version, VERSION);
    int index = in.get(Wire.INT, 68);
    double frequency = in.get(Wire.DOUBLE, 100);
    long bytes = in.get(Wire.LONG, 84);
    Preamble.require(index >= 0 && bytes > 0, "note has chunk index %d, %d bytes", index, bytes);
    Preamble.require(frequency >= 0 && frequency < Double.POSITIVE_INFINITY, "note has frequency %s",
        frequency);
    long expiry = in.get(Wire.LONG, 116);
    Preamble.require(expiry >= 0, "note expires at %d", expiry);
    return new EntryNote(
        ChunkKey.read(in, 4), ChunkKey.read(in, 36), index, in.get(Wire.LONG, 72), encoding(in), bytes,
        in.get(Wire.LONG, 92), frequency, in.get(Wire.LONG, 108), expiry, scored(in), profile(in));
  }

  private static Encoding encoding(MemorySegment in) throws MalformedDataException {
    int codec = Short.toUnsignedInt(in.get(Wire.SHORT, 80));
    int dropping = Byte.toUnsignedInt(in.get(Wire.BYTE, 82));
    int percent = Byte.toUnsignedInt(in.get(Wire.BYTE, 83));
    return Codecs.encoding(codec, dropping, percent);
  }

  private static Set<DropMethod> scored(MemorySegment in) throws MalformedDataException {
    return ChunkScores.methods(Short.toUnsignedInt(in.get(Wire.SHORT, PROFILE_AT + 6)));
  }

  private static Profile profile(MemorySegment in) throws MalformedDataException {
    int count = Short.toUnsignedInt(in.get(Wire.SHORT, PROFILE_AT + 4));
    long bytes = LOSSES_AT + (long) count * Float.BYTES + Integer.BYTES;
    Preamble.require(count <= MAX_CANDIDATES && bytes == in.byteSize(),
        "note of %d bytes has losses of %d candidates", in.byteSize(), count);
    float[] losses = new float[count];
    for (int candidate = 0; candidate < count; candidate++) {
      losses[candidate] = Float.intBitsToFloat(in.get(Wire.INT, LOSSES_AT + (long) candidate * Float.BYTES));
      Preamble.require(!(losses[candidate] < 0 || losses[candidate] > 1), "note has a loss of %s",
          losses[candidate]);
    }
    return count == 0 ? Profile.NONE : new Profile(in.get(Wire.INT, PROFILE_AT), losses);
  }
}
