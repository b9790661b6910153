package io.kvcache.bench.model;

/** Conversion between float and bfloat16, the upper half of a float. */
final class Bf16 {
  private Bf16() {}

  /** Rounds to the nearest bfloat16, ties to even; a NaN stays a (quiet) NaN. */
  static short round(float value) {
    int bits = Float.floatToRawIntBits(value);
    if (value != value) {
      return (short) ((bits >>> 16) | 0x40); // adding below could carry a NaN into infinity
    }
    int lowestKept = (bits >>> 16) & 1;
    return (short) ((bits + 0x7fff + lowestKept) >>> 16);
  }

  /** Widens exactly. */
  static float widen(short bits) {
    return Float.intBitsToFloat(bits << 16);
  }

  /** Rounds a whole row into {@code target} from index {@code at} on. */
  static void round(float[] row, short[] target, int at) {
    for (int i = 0; i < row.length; i++) {
      target[at + i] = round(row[i]);
    }
  }

  /** Rounds x, [elements][columns], into rows [columns][elements]. */
  static void roundTransposed(float[][] x, int columns, short[] rows) {
    for (int i = 0; i < x.length; i++) {
      for (int j = 0; j < columns; j++) {
        rows[j * x.length + i] = round(x[i][j]);
      }
    }
  }

  /** Widens rows, as given to a {@link KvState.RowSink}, into {@code target[first]} and following. */
  static void widen(short[] block, int offset, int stride, int rows, float[][] target, int first) {
    for (int r = 0; r < rows; r++) {
      float[] row = target[first + r];
      for (int d = 0; d < row.length; d++) {
        row[d] = widen(block[offset + r * stride + d]);
      }
    }
  }

  /** Widens rows into the columns {@code first} and following of {@code target}, [element][row]. */
  static void widenTransposed(
      short[] block, int offset, int stride, int rows, float[][] target, int first) {
    for (int d = 0; d < target.length; d++) {
      float[] column = target[d];
      for (int r = 0; r < rows; r++) {
        column[first + r] = widen(block[offset + r * stride + d]);
      }
    }
  }
}
