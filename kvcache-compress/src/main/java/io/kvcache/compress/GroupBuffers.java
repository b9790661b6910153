package io.kvcache.compress;

import io.kvcache.compress.kernel.RowKernels;
import java.lang.foreign.MemorySegment;

/**
 * Working memory for one row and one block's scales. Loops over arrays are vectorised, loops over segments
 * are not or badly, so rows are copied in and out: from and to the first-level cache.
 */
final class GroupBuffers {
  /** Beyond this many channels buffers are not kept for the next caller; no known model comes near. */
  private static final int KEPT_CHANNELS = 1 << 16;

  /** One half of a row's channels. */
  static final class Strand {
    final byte[] codes;
    final float[] values;
    final int[] words;
    final short[] halves;
    final float[] scale;
    final float[] offset;
    final float[] low;
    final float[] high;
    private final MemorySegment valueView;
    private final MemorySegment wordView;

    Strand(int channels) {
      codes = new byte[channels];
      values = new float[channels];
      words = new int[channels];
      halves = new short[channels];
      scale = new float[channels];
      offset = new float[channels];
      low = new float[channels];
      high = new float[channels];
      valueView = MemorySegment.ofArray(values);
      wordView = MemorySegment.ofArray(words);
    }

    /**
     * Copies the bit patterns of {@code values} to {@code words}; C2 vectorises no {@code floatToRawIntBits}.
     */
    void valuesToWords(int n) {
      MemorySegment.copy(valueView, 0, wordView, 0, 4L * n);
    }

    /** The way back. */
    void wordsToValues(int n) {
      MemorySegment.copy(wordView, 0, valueView, 0, 4L * n);
    }
  }

  Strand first = new Strand(0);
  Strand second = new Strand(0);
  byte[] packed = new byte[0];
  byte[] upper = new byte[0];
  int[] pairs = new int[0];
  short[] scaleBits = new short[0];
  short[] zeroBits = new short[0];
  float[] scales = new float[0];
  float[] offsets = new float[0];
  float[] low = new float[0];
  float[] high = new float[0];

  /** Makes room for the rows and scales of {@code plan}. */
  void fit(GroupPlan plan) {
    if (first.codes.length < plan.first()) {
      int even = 2 * plan.quarter(); // for both, so that loops need not tell odd widths apart
      first = new Strand(even);
      second = new Strand(even);
      packed = new byte[plan.first()];
      upper = new byte[plan.quarter()];
      pairs = new int[plan.first()];
    }
    int most = plan.scales(plan.rows(0));
    if (scales.length < most) {
      scaleBits = new short[most];
      zeroBits = new short[most];
      scales = new float[most];
      offsets = new float[most];
      low = new float[most];
      high = new float[most];
    }
  }

  /** Hands a block's scales and offsets, one for each channel in strand order, to the strands. */
  void scalesPerChannel(GroupPlan plan) {
    System.arraycopy(scales, 0, first.scale, 0, plan.first());
    System.arraycopy(offsets, 0, first.offset, 0, plan.first());
    System.arraycopy(scales, plan.first(), second.scale, 0, plan.second());
    System.arraycopy(offsets, plan.first(), second.offset, 0, plan.second());
  }

  /**
   * Spreads a row's scales and offsets over its channels; returns the strand with those of the second one.
   */
  Strand scalesPerToken(GroupPlan plan, int row) {
    int at = row * plan.groupsPerRow();
    if (plan.interleaved()) { // channels 2i and 2i + 1 always share a group, so the strands share scales
      spread(at, 0, plan.group() / 2, first, plan.first());
      return first;
    }
    spread(at, 0, plan.group(), first, plan.first());
    int middle = plan.first() / plan.group();
    spread(at + middle, plan.first() - middle * plan.group(), plan.group(), second, plan.second());
    return second;
  }

  private void spread(int group, int skip, int lanes, Strand strand, int n) {
    RowKernels.spread(scales, group, skip, lanes, strand.scale, n);
    RowKernels.spread(offsets, group, skip, lanes, strand.offset, n);
  }

  boolean worthKeeping() {
    return first.codes.length <= KEPT_CHANNELS / 2 && scales.length <= KEPT_CHANNELS;
  }
}
