package io.kvcache.bench.model;

import io.kvcache.DType;

/** What keys and values are kept as: the types of 16 bits. */
enum Element {
  /** The upper half of a float. */
  BF16(DType.BF16) {
    @Override
    void round(float[] row, short[] target, int at) {
      Bf16.round(row, target, at);
    }

    @Override
    void roundTransposed(float[][] x, int columns, short[] rows) {
      Bf16.roundTransposed(x, columns, rows);
    }

    @Override
    void widen(short[] block, int offset, int stride, int rows, float[][] target, int first) {
      Bf16.widen(block, offset, stride, rows, target, first);
    }

    @Override
    void widenTransposed(short[] block, int offset, int stride, int rows, float[][] target, int first) {
      Bf16.widenTransposed(block, offset, stride, rows, target, first);
    }
  },

  /** IEEE 754 binary16: three bits more precise, but nothing beyond 65,504. */
  F16(DType.F16) {
    @Override
    void round(float[] row, short[] target, int at) {
      for (int i = 0; i < row.length; i++) {
        target[at + i] = Float.floatToFloat16(row[i]);
      }
    }

    @Override
    void roundTransposed(float[][] x, int columns, short[] rows) {
      for (int i = 0; i < x.length; i++) {
        for (int j = 0; j < columns; j++) {
          rows[j * x.length + i] = Float.floatToFloat16(x[i][j]);
        }
      }
    }

    @Override
    void widen(short[] block, int offset, int stride, int rows, float[][] target, int first) {
      for (int r = 0; r < rows; r++) {
        float[] row = target[first + r];
        for (int d = 0; d < row.length; d++) {
          row[d] = Float.float16ToFloat(block[offset + r * stride + d]);
        }
      }
    }

    @Override
    void widenTransposed(short[] block, int offset, int stride, int rows, float[][] target, int first) {
      for (int d = 0; d < target.length; d++) {
        float[] column = target[d];
        for (int r = 0; r < rows; r++) {
          column[first + r] = Float.float16ToFloat(block[offset + r * stride + d]);
        }
      }
    }
  };

  private final DType dtype;

  Element(DType dtype) {
    this.dtype = dtype;
  }

  /** That of a type, which must be one of the two. */
  static Element of(DType dtype) {
    for (Element element : values()) {
      if (element.dtype == dtype) {
        return element;
      }
    }
    throw new IllegalArgumentException("keys and values of " + dtype + ", must be BF16 or F16");
  }

  DType dtype() {
    return dtype;
  }

  /** Rounds a whole row into {@code target} from index {@code at} on. */
  abstract void round(float[] row, short[] target, int at);

  /** Rounds x, [elements][columns], into rows [columns][elements]. */
  abstract void roundTransposed(float[][] x, int columns, short[] rows);

  /** Widens rows, as given to a {@link KvState.RowSink}, into {@code target[first]} and following. */
  abstract void widen(short[] block, int offset, int stride, int rows, float[][] target, int first);

  /** Widens rows into the columns {@code first} and following of {@code target}, [element][row]. */
  abstract void widenTransposed(short[] block, int offset, int stride, int rows, float[][] target, int first);
}
