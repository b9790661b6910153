package io.kvcache.bench.model;

/**
 * Rotary position embedding: the adjacent pair (2i, 2i+1) of a head is turned by
 * {@code position / 10000^(2i/headDim)}. Tables for all positions of the context; immutable.
 */
final class Rotary {
  private static final double BASE = 10_000;

  private final float[][] cos;
  private final float[][] sin;

  Rotary(int context, int headDim) {
    cos = new float[context][headDim / 2];
    sin = new float[context][headDim / 2];
    for (int pair = 0; pair < headDim / 2; pair++) {
      double frequency = frequency(pair, headDim);
      for (int position = 0; position < context; position++) {
        cos[position][pair] = (float) Math.cos(position * frequency);
        sin[position][pair] = (float) Math.sin(position * frequency);
      }
    }
  }

  /** Radians by which a pair turns from one position to the next. */
  static double frequency(int pair, int headDim) {
    return Math.pow(BASE, -2.0 * pair / headDim);
  }

  /** Turns all heads in {@code x}, which holds whole heads of one token. */
  void rotate(float[] x, int position) {
    float[] c = cos[position];
    float[] s = sin[position];
    for (int i = 0; i < x.length; i += 2) {
      int pair = i / 2 % c.length;
      float even = x[i];
      float odd = x[i + 1];
      x[i] = even * c[pair] - odd * s[pair];
      x[i + 1] = even * s[pair] + odd * c[pair];
    }
  }

  /** Turns all heads in x, [elements][columns]; column j is the token at {@code position + j}. */
  void rotate(float[][] x, int columns, int position) {
    int pairs = cos[position].length;
    for (int i = 0; i < x.length; i += 2) {
      float[] evens = x[i];
      float[] odds = x[i + 1];
      int pair = i / 2 % pairs;
      for (int j = 0; j < columns; j++) {
        float c = cos[position + j][pair];
        float s = sin[position + j][pair];
        float even = evens[j];
        float odd = odds[j];
        evens[j] = even * c - odd * s;
        odds[j] = even * s + odd * c;
      }
    }
  }
}
