package io.kvcache.compress.kernel;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/**
 * Splitting elements into planes of equally significant bytes, joining them again, and turning a plane round.
 * Several bytes travel in one {@code int} or {@code long}: C2 does not vectorise loops that mix byte strides.
 */
public final class PlaneKernels {
  private static final VarHandle INT =
      MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);
  private static final VarHandle LONG =
      MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);

  private static final long BYTES_OF_8 = 0x00ff00ff00ff00ffL;
  private static final long BYTES_OF_16 = 0x0000ffff0000ffffL;
  private static final long BYTES_OF_32 = 0x00000000ffffffffL;

  private PlaneKernels() {}

  /**
   * Splits {@code n} 16-bit elements, four to a word, into {@code low} and {@code high} from {@code at} on.
   */
  public static void split16(long[] words, byte[] low, byte[] high, int at, int n) {
    int whole = n / 4;
    for (int i = 0; i < whole; i++) {
      INT.set(low, at + 4 * i, gather(words[i]));
      INT.set(high, at + 4 * i, gather(words[i] >>> 8));
    }
    for (int i = 4 * whole; i < n; i++) {
      long element = words[whole] >>> (16 * (i & 3));
      low[at + i] = (byte) element;
      high[at + i] = (byte) (element >>> 8);
    }
  }

  /** The way back from {@link #split16}; unused bits of the last word become 0. */
  public static void join16(byte[] low, byte[] high, int at, long[] words, int n) {
    int whole = n / 4;
    for (int i = 0; i < whole; i++) {
      words[i] = scatter((int) INT.get(low, at + 4 * i)) | scatter((int) INT.get(high, at + 4 * i)) << 8;
    }
    if (4 * whole < n) {
      words[whole] = 0;
    }
    for (int i = 4 * whole; i < n; i++) {
      long element = (low[at + i] & 0xff) | (high[at + i] & 0xff) << 8;
      words[whole] |= element << (16 * (i & 3));
    }
  }

  /** Takes the 16-bit halves of 32-bit elements apart: {@code n} words of two of them. */
  public static void splitPairs(long[] words, byte[] low, byte[] high, int n) {
    for (int i = 0; i < n; i++) {
      INT.set(low, 4 * i, gatherHalves(words[i]));
      INT.set(high, 4 * i, gatherHalves(words[i] >>> 16));
    }
  }

  /** The way back from {@link #splitPairs}. */
  public static void joinPairs(byte[] low, byte[] high, long[] words, int n) {
    for (int i = 0; i < n; i++) {
      words[i] = scatterHalves((int) INT.get(low, 4 * i)) | scatterHalves((int) INT.get(high, 4 * i)) << 16;
    }
  }

  /** Writes the {@code rows × columns} bytes of {@code from} column by column. */
  public static void transpose(byte[] from, int rows, int columns, byte[] to) {
    int wholeRows = rows & -8;
    int wholeColumns = columns & -8;
    for (int column = 0; column < wholeColumns; column += 8) {
      for (int row = 0; row < wholeRows; row += 8) {
        transposeSquare(from, row * columns + column, columns, to, column * rows + row, rows);
      }
    }
    for (int row = 0; row < rows; row++) {
      for (int column = row < wholeRows ? wholeColumns : 0; column < columns; column++) {
        to[column * rows + row] = from[row * columns + column];
      }
    }
  }

  /** Eight rows of eight bytes: swaps 4-byte, then 2-byte, then 1-byte corners (Hacker's Delight, 7-3). */
  private static void transposeSquare(byte[] from, int at, int stride, byte[] to, int target,
      int targetStride) {
    long a = (long) LONG.get(from, at);
    long b = (long) LONG.get(from, at + stride);
    long c = (long) LONG.get(from, at + 2 * stride);
    long d = (long) LONG.get(from, at + 3 * stride);
    long e = (long) LONG.get(from, at + 4 * stride);
    long f = (long) LONG.get(from, at + 5 * stride);
    long g = (long) LONG.get(from, at + 6 * stride);
    long h = (long) LONG.get(from, at + 7 * stride);
    long ae = low32(a, e);
    long ea = high32(a, e);
    long bf = low32(b, f);
    long fb = high32(b, f);
    long cg = low32(c, g);
    long gc = high32(c, g);
    long dh = low32(d, h);
    long hd = high32(d, h);
    storePair(low16(ae, cg), low16(bf, dh), to, target, targetStride);
    storePair(high16(ae, cg), high16(bf, dh), to, target + 2 * targetStride, targetStride);
    storePair(low16(ea, gc), low16(fb, hd), to, target + 4 * targetStride, targetStride);
    storePair(high16(ea, gc), high16(fb, hd), to, target + 6 * targetStride, targetStride);
  }

  private static long low32(long a, long b) {
    return (a & BYTES_OF_32) | b << 32;
  }

  private static long high32(long a, long b) {
    return a >>> 32 | (b & ~BYTES_OF_32);
  }

  private static long low16(long a, long b) {
    return (a & BYTES_OF_16) | (b & BYTES_OF_16) << 16;
  }

  private static long high16(long a, long b) {
    return (a >>> 16 & BYTES_OF_16) | (b & ~BYTES_OF_16);
  }

  private static void storePair(long a, long b, byte[] to, int target, int stride) {
    LONG.set(to, target, (a & BYTES_OF_8) | (b & BYTES_OF_8) << 8);
    LONG.set(to, target + stride, (a >>> 8 & BYTES_OF_8) | (b & ~BYTES_OF_8));
  }

  /** Moves bytes 0, 2, 4 and 6 together. */
  private static int gather(long word) {
    long pairs = word & BYTES_OF_8;
    pairs = (pairs | pairs >>> 8) & BYTES_OF_16;
    return (int) (pairs | pairs >>> 16);
  }

  /** Moves four bytes apart, to bytes 0, 2, 4 and 6. */
  private static long scatter(int bytes) {
    long apart = bytes & BYTES_OF_32;
    apart = (apart | apart << 16) & BYTES_OF_16;
    return (apart | apart << 8) & BYTES_OF_8;
  }

  /** Moves 16-bit halves 0 and 2 together. */
  private static int gatherHalves(long word) {
    long halves = word & BYTES_OF_16;
    return (int) (halves | halves >>> 16);
  }

  /** Moves two 16-bit halves apart, to places 0 and 2. */
  private static long scatterHalves(int halves) {
    long apart = halves & BYTES_OF_32;
    return (apart | apart << 16) & BYTES_OF_16;
  }
}
