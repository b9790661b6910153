package io.kvcache.internal.delay;

import io.kvcache.Encoding;
import io.kvcache.internal.frame.Codecs;
import io.kvcache.spi.DelayLine;
import io.kvcache.spi.MalformedDataException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.zip.CRC32C;

/**
 * One learned line as it survives a restart.
 *
 * <pre>
 * 0 u32 magic "KVD1"   4 u32 version   8 u32 number of lines   lines   u32 CRC32C of all before
 *
 * line: u8 kind   u8 drop method   u8 percent kept   u8 bytes of the name   u16 codec   tier's name in UTF-8
 *       f64 seconds per unit   f64 fixed seconds   u64 observations
 * </pre>
 *
 * @param kind what it is about
 * @param tier name of the tier; empty for recomputation
 * @param encoding of a load; raw for the others
 * @param state of the fit
 */
record SavedLine(Kind kind, String tier, Encoding encoding, LineFit.State state) {
  private static final int MAGIC = 'K' | 'V' << 8 | 'D' << 16 | '1' << 24;
  private static final int VERSION = 1;
  private static final int HEADER_BYTES = 12;
  private static final int FIXED_BYTES = 6 + 3 * 8;
  private static final int MAX_NAME_BYTES = 255;
  /** Delays beyond these are of no medium there is; they would make predictions infinite. */
  private static final double MOST_SECONDS_PER_UNIT = 1e3;
  private static final double MOST_FIXED_SECONDS = 1e6;
  private static final int LARGEST = FIXED_BYTES + MAX_NAME_BYTES;

  /** What lines are about; the position is what is written. */
  enum Kind {
    LOAD, STORE, RECOMPUTE
  }

  /** The bytes of all lines; those of tiers with names beyond 255 bytes are left out. */
  static byte[] encode(List<SavedLine> lines) {
    ByteBuffer out = ByteBuffer.allocate(HEADER_BYTES + lines.size() * LARGEST + Integer.BYTES);
    out.order(ByteOrder.LITTLE_ENDIAN).putInt(MAGIC).putInt(VERSION).putInt(0);
    int count = 0;
    for (SavedLine line : lines) {
      byte[] name = line.tier.getBytes(StandardCharsets.UTF_8);
      if (name.length <= MAX_NAME_BYTES) {
        line.write(out, name);
        count++;
      }
    }
    out.putInt(8, count);
    int length = out.position();
    out.putInt(crc(out.array(), length));
    return Arrays.copyOf(out.array(), out.position());
  }

  private void write(ByteBuffer out, byte[] name) {
    out.put((byte) kind.ordinal()).put((byte) Codecs.dropping(encoding));
    out.put((byte) encoding.retainedPercent()).put((byte) name.length).putShort((short) encoding.codec());
    out.put(name).putDouble(state.line().secondsPerUnit()).putDouble(state.line().fixedSeconds());
    out.putLong(state.observations());
  }

  /** Reads {@link #encode}'s bytes. */
  static List<SavedLine> decode(byte[] bytes) throws MalformedDataException {
    require(bytes.length >= HEADER_BYTES + Integer.BYTES, "delay lines have %d bytes", bytes.length);
    ByteBuffer in = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    int magic = in.getInt();
    require(magic == MAGIC, "magic is %08x, expected %08x", magic, MAGIC);
    int version = in.getInt();
    require(version == VERSION, "version of delay lines is %d, expected %d", version, VERSION);
    int crcAt = bytes.length - Integer.BYTES;
    int crc = crc(bytes, crcAt);
    require(in.getInt(crcAt) == crc, "checksum of delay lines is wrong, computed %08x", crc);
    in.limit(crcAt);
    int count = in.getInt();
    require(count >= 0 && count <= in.remaining() / FIXED_BYTES, "%d delay lines in %d bytes", count,
        bytes.length);
    List<SavedLine> lines = new ArrayList<>(count);
    for (int i = 0; i < count; i++) {
      lines.add(read(in));
    }
    require(!in.hasRemaining(), "%d bytes behind the last delay line", in.remaining());
    return lines;
  }

  private static SavedLine read(ByteBuffer in) throws MalformedDataException {
    require(in.remaining() >= FIXED_BYTES, "delay lines end after %d bytes", in.limit());
    int kind = Byte.toUnsignedInt(in.get());
    int dropping = Byte.toUnsignedInt(in.get());
    int percent = Byte.toUnsignedInt(in.get());
    byte[] name = new byte[Byte.toUnsignedInt(in.get())];
    int codec = Short.toUnsignedInt(in.getShort());
    require(kind < Kind.values().length, "delay line is of kind %d", kind);
    require(in.remaining() >= name.length + 3 * Long.BYTES, "delay lines end after %d bytes", in.limit());
    in.get(name);
    double slope = in.getDouble();
    double fixed = in.getDouble();
    long observations = in.getLong();
    require(slope >= 0 && slope <= MOST_SECONDS_PER_UNIT && Math.abs(fixed) <= MOST_FIXED_SECONDS,
        "delay line is %s seconds a unit and %s", slope, fixed);
    try {
      return new SavedLine(
          Kind.values()[kind], new String(name, StandardCharsets.UTF_8),
          Codecs.encoding(codec, dropping, percent),
          new LineFit.State(new DelayLine(slope, fixed), observations));
    } catch (IllegalArgumentException e) {
      throw new MalformedDataException("delay line cannot be: " + e.getMessage());
    }
  }

  private static int crc(byte[] bytes, int length) {
    CRC32C crc = new CRC32C();
    crc.update(bytes, 0, length);
    return (int) crc.getValue();
  }

  private static void require(boolean holds, String message, Object... values) throws MalformedDataException {
    if (!holds) {
      throw new MalformedDataException(message.formatted(values));
    }
  }
}
