package io.kvcache.compress;

import io.kvcache.compress.kernel.RansKernels;
import java.util.Arrays;

/** Working memory for a block, kept from call to call. */
final class EntropyBuffers {
  /** Beyond this many channels buffers are not kept for the next caller; no known model comes near. */
  private static final int KEPT_CHANNELS = 1 << 16;

  /** What is kept of one strand: a number for each lane, and for encoding one for each lane of each row. */
  static final class Lanes {
    final float[] mean;
    final int[] meanSteps;
    final int[] quarters;
    final int[] steps;
    final int[] previous;
    final int[] residuals;
    final int[] base;

    final double[] sums;
    final double[] squares;
    final double[] products;
    final int[] energy;
    final int[] octave;
    short[] keptSteps = new short[0];
    byte[] coded = new byte[0];

    Lanes(int width) {
      mean = new float[width];
      meanSteps = new int[width];
      quarters = new int[width];
      steps = new int[width];
      previous = new int[width];
      residuals = new int[width];
      base = new int[width];
      sums = new double[width];
      squares = new double[width];
      products = new double[width];
      energy = new int[width];
      octave = new int[width];
    }

    void clearSums() {
      Arrays.fill(sums, 0);
      Arrays.fill(squares, 0);
    }

    void clearProducts() {
      Arrays.fill(squares, 0);
      Arrays.fill(products, 0);
      Arrays.fill(previous, 0);
    }
  }

  EntropyRow row = new EntropyRow(0);
  Lanes first = new Lanes(0);
  Lanes second = new Lanes(0);
  final EntropyHead head = new EntropyHead();
  final EntropyTables tables = new EntropyTables();
  final long[] states = new long[RansKernels.STATES];
  final long[] rawRows = new long[EntropyPlan.BLOCK / Long.SIZE];
  final double[] power = new double[EntropyPlan.BLOCK];
  final float[] greatest = new float[EntropyPlan.BLOCK];
  final byte[] scales = new byte[EntropyPlan.BLOCK];
  byte[] low = new byte[0];
  int[] words = new int[0];
  final EntropyWords wordsRead = new EntropyWords();
  private int width;

  /** Makes room for rows of {@code plan}, one at a time. */
  void fitRow(EntropyPlan plan) {
    if (width < plan.lanes()) {
      width = plan.lanes();
      row = new EntropyRow(width);
      first = new Lanes(width);
      second = new Lanes(width);
    }
  }

  /** Makes room for a block of {@code plan} besides. */
  void fitBlock(EntropyPlan plan) {
    fitRow(plan);
    int lanes = plan.rows(0) * plan.lanes();
    if (first.coded.length < lanes) {
      first.keptSteps = new short[lanes];
      first.coded = new byte[lanes];
      second.keptSteps = new short[lanes];
      second.coded = new byte[lanes];
    }
    fitLow(plan.lowBytes(plan.rows(0)));
    int most = plan.mostWords(plan.rows(0)) + 1;
    if (words.length < most) {
      words = new int[most];
    }
  }

  void fitLow(int bytes) {
    if (low.length < bytes) {
      low = new byte[bytes];
    }
  }

  boolean rawRow(int row) {
    return (rawRows[row / Long.SIZE] >>> row & 1) != 0;
  }

  void markRaw(int row) {
    rawRows[row / Long.SIZE] |= 1L << row;
  }

  /** Rows of the block that are kept as they are. */
  int rawCount() {
    int count = 0;
    for (long bits : rawRows) {
      count += Long.bitCount(bits);
    }
    return count;
  }

  void clearRaw() {
    Arrays.fill(rawRows, 0);
  }

  boolean worthKeeping() {
    return width <= KEPT_CHANNELS / 2;
  }
}
