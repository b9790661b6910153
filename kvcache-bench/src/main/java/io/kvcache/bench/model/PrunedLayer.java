package io.kvcache.bench.model;

import java.lang.foreign.MemorySegment;

/**
 * What token dropping left of one layer over a run of positions.
 *
 * <p>The bytes belong to the caller; {@link KvState#appendPruned} copies them.
 *
 * @param positions [kvHead][kept], original positions, ascending; a head may keep more than another
 * @param keys for each head its [kept][headDim] as in the state, little-endian, as rotated for their original positions
 * @param values for each head its [kept][headDim], likewise
 */
public record PrunedLayer(int[][] positions, MemorySegment keys, MemorySegment values) {
  /** Positions that a head keeps. */
  public int kept(int kvHead) {
    return positions[kvHead].length;
  }

  /** Rows of the heads before one. */
  int firstRow(int kvHead) {
    int rows = 0;
    for (int head = 0; head < kvHead; head++) {
      rows += positions[head].length;
    }
    return rows;
  }

  /** Throws IllegalArgumentException unless this is one layer of the model over positions [from, to). */
  void check(ModelConfig config, int from, int to) {
    if (positions.length != config.kvHeads()) {
      throw new IllegalArgumentException(
          "positions for " + positions.length + " heads, the model has " + config.kvHeads());
    }
    for (int[] ofHead : positions) {
      checkPositions(ofHead, from, to);
    }
    int rows = firstRow(positions.length);
    long bytes = (long) config.headDim() * rows * Short.BYTES;
    if (keys.byteSize() != bytes || values.byteSize() != bytes) {
      throw new IllegalArgumentException("keys of " + keys.byteSize() + " and values of "
          + values.byteSize() + " bytes, " + rows + " positions kept of all heads take " + bytes);
    }
  }

  private static void checkPositions(int[] ofHead, int from, int to) {
    int least = from;
    for (int position : ofHead) {
      if (position < least || position >= to) {
        throw new IllegalArgumentException(
            "position " + position + " is not in [" + least + ", " + to + "), ascending");
      }
      least = position + 1;
    }
  }
}
