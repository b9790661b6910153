package io.kvcache.compress;

import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.MemorySegment;

/** The part of a block before its coded symbols, byte by byte; reading stops at what is there. */
final class EntropyHead {
  private byte[] bytes = new byte[0];
  private int at;
  private int end;

  /** Begins writing; there is room for {@code most} bytes. */
  void begin(int most) {
    if (bytes.length < most) {
      bytes = new byte[most];
    }
    at = 0;
    end = most;
  }

  /** Begins reading at {@code from}; no more than {@code most} bytes. */
  void begin(MemorySegment stored, long from, int most) {
    begin(most);
    end = (int) Math.min(most, stored.byteSize() - from);
    MemorySegment.copy(stored, Segments.BYTE, from, bytes, 0, end);
  }

  /** Bytes written or read so far. */
  int length() {
    return at;
  }

  void copyTo(MemorySegment target, long to) {
    MemorySegment.copy(bytes, 0, target, Segments.BYTE, to, at);
  }

  void put(int value) {
    bytes[at++] = (byte) value;
  }

  void putInt(int value) {
    for (int i = 0; i < Integer.SIZE; i += Byte.SIZE) {
      put(value >>> i);
    }
  }

  /** Seven bits a byte, the least significant first; all but the last byte have their highest bit set. */
  void putVarint(int value) {
    int rest = value;
    while ((rest & ~0x7f) != 0) {
      put(rest | 0x80);
      rest >>>= 7;
    }
    put(rest);
  }

  /** 0 to 255. */
  int get() throws MalformedDataException {
    if (at >= end) {
      throw new MalformedDataException("stored ends within a block's head, after " + at + " bytes of it");
    }
    return bytes[at++] & 0xff;
  }

  int getInt() throws MalformedDataException {
    int value = 0;
    for (int i = 0; i < Integer.SIZE; i += Byte.SIZE) {
      value |= get() << i;
    }
    return value;
  }

  /** The way back from {@link #putVarint}; what is more than 32 bits is refused. */
  int getVarint() throws MalformedDataException {
    int value = 0;
    for (int shift = 0; shift < Integer.SIZE; shift += 7) {
      int next = get();
      value |= (next & 0x7f) << shift;
      if (next < 0x80) {
        return value;
      }
    }
    throw new MalformedDataException("a number in a block's head has more than five bytes");
  }
}
