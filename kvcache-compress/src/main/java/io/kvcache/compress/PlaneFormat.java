package io.kvcache.compress;

import io.kvcache.DType;
import io.kvcache.KvHalf;
import io.kvcache.KvShape;
import io.kvcache.compress.kernel.PlaneKernels;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.MemorySegment;

/** Writes and reads the directory and the bodies of byte planes, as {@link BytePlanes} describes them. */
final class PlaneFormat {
  private static final byte RAW = 0;
  private static final int ENTRY_BYTES = 5;

  /** What a half may have: lengths of planes and what coders make of them then fit an {@code int}. */
  private static final int MOST_BYTES = 1 << 30;
  private final PlaneCoder coder;

  PlaneFormat(PlaneCoder coder) {
    this.coder = coder;
  }

  String coderName() {
    return coder.name();
  }

  static boolean supports(KvShape shape) {
    return shape.bytes() <= MOST_BYTES;
  }

  /** The most that {@link #write} writes. */
  static long mostBytes(KvShape shape) {
    return directoryBytes(shape) + shape.bytes();
  }

  static long directoryBytes(KvShape shape) {
    return (long) ENTRY_BYTES * shape.dtype().bytes();
  }

  /** Writes the planes in {@code buffers} from {@code from} on, and returns where they end. */
  long write(KvShape shape, PlaneBuffers buffers, MemorySegment target, long from) {
    long entry = from;
    long at = from + directoryBytes(shape);
    for (int plane = 0; plane < shape.dtype().bytes(); plane++) {
      int length = writePlane(shape, buffers.planes[plane], buffers, target, entry, at);
      target.set(Segments.INT, entry + 1, length);
      entry += ENTRY_BYTES;
      at += length;
    }
    return at;
  }

  private int writePlane(KvShape shape, byte[] plane, PlaneBuffers buffers, MemorySegment target, long entry,
      long at) {
    int n = (int) shape.elements();
    boolean turned = shape.half() == KvHalf.KEYS && shape.dtype() != DType.OPAQUE;
    int length = 0;
    if (n > 0) {
      if (turned) {
        PlaneKernels.transpose(plane, shape.tokens(), shape.channels(), buffers.turned);
      }
      length = coder.encode(turned ? buffers.turned : plane, n, n - n / 16, buffers, target, at);
    }
    byte coding = (byte) (coder.coding() + (turned ? 1 : 0));
    if (length == 0) {
      coding = RAW;
      length = n;
      MemorySegment.copy(plane, 0, target, Segments.BYTE, at, n);
    }
    target.set(Segments.BYTE, entry, coding);
    return length;
  }

  /** Checks the directory at {@code from} against itself and the bytes from there on, before anything else is read. */
  void requireLength(KvShape shape, MemorySegment stored, long from) throws MalformedDataException {
    long present = stored.byteSize() - from;
    long expected = directoryBytes(shape);
    if (present < expected) {
      throw new MalformedDataException(
          "planes have " + present + " bytes, their directory alone " + expected);
    }
    for (int plane = 0; plane < shape.dtype().bytes(); plane++) {
      byte coding = stored.get(Segments.BYTE, from + (long) ENTRY_BYTES * plane);
      long length = stored.get(Segments.INT, from + (long) ENTRY_BYTES * plane + 1) & 0xffffffffL;
      boolean valid = coding == RAW
          ? length == shape.elements()
          : (coding == coder.coding() || coding == coder.coding() + 1) && length <= shape.elements();
      if (!valid) {
        throw new MalformedDataException(
            "plane " + plane + " has coding " + coding + " and length " + length + ", elements "
                + shape.elements());
      }
      expected += length;
    }
    if (present != expected) {
      throw new MalformedDataException("planes have " + present + " bytes, their directory says " + expected);
    }
  }

  /** Reads planes whose directory was found right into {@code buffers}. */
  void read(KvShape shape, MemorySegment stored, long from, PlaneBuffers buffers)
      throws MalformedDataException {
    long at = from + directoryBytes(shape);
    for (int plane = 0; plane < shape.dtype().bytes(); plane++) {
      byte coding = stored.get(Segments.BYTE, from + (long) ENTRY_BYTES * plane);
      int length = stored.get(Segments.INT, from + (long) ENTRY_BYTES * plane + 1);
      readPlane(shape, coding, stored, at, length, buffers, buffers.planes[plane]);
      at += length;
    }
  }

  private void readPlane(KvShape shape, byte coding, MemorySegment stored, long at, int length,
      PlaneBuffers buffers, byte[] plane) throws MalformedDataException {
    int n = (int) shape.elements();
    if (coding == RAW) {
      MemorySegment.copy(stored, Segments.BYTE, at, plane, 0, n);
    } else if (coding == coder.coding()) {
      coder.decode(stored, at, length, plane, n, buffers);
    } else {
      coder.decode(stored, at, length, buffers.turned, n, buffers);
      PlaneKernels.transpose(buffers.turned, shape.channels(), shape.tokens(), plane);
    }
  }
}
