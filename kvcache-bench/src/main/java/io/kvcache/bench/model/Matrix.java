package io.kvcache.bench.model;

/**
 * A weight matrix W of [outputs][inputs], kept in both orders: one for each choice of vector axis.
 *
 * <p>Both products sum over inputs in ascending order, so they agree bit for bit. Immutable after
 * construction.
 */
final class Matrix {
  private final float[][] byOutput;
  private final float[][] byInput;

  /** Takes ownership of {@code byOutput}, [outputs][inputs]. */
  Matrix(float[][] byOutput) {
    this.byOutput = byOutput;
    byInput = new float[byOutput[0].length][byOutput.length];
    for (int out = 0; out < byOutput.length; out++) {
      for (int in = 0; in < byInput.length; in++) {
        byInput[in][out] = byOutput[out][in];
      }
    }
  }

  int outputs() {
    return byOutput.length;
  }

  /** The weights of one output (in an embedding matrix: the embedding of one token). */
  float[] row(int output) {
    return byOutput[output];
  }

  /** y += W x for one vector; the vector axis is the output. */
  void addProduct(float[] y, float[] x) {
    Kernels.accumulate(y, byOutput.length, x, 0, byInput, 0, byInput.length);
  }

  /** y += W x for the columns [0, columns) of x, [inputs][columns]; the vector axis is the column. */
  void addProduct(float[][] y, float[][] x, int columns) {
    for (int out = 0; out < byOutput.length; out++) {
      Kernels.accumulate(y[out], columns, byOutput[out], 0, x, 0, byInput.length);
    }
  }
}
