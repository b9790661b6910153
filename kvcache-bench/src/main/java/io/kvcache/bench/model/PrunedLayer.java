package io.kvcache.bench.model;

import java.lang.foreign.MemorySegment;

/**
 * What token dropping left of one layer over a run of positions.
 *
 * <p>The bytes belong to the caller; {@link KvState#appendPruned} copies them.
 *
 * @param positions [kvHead][kept], original positions, ascending; as many for every head of the layer
 * @param keys [kvHead][kept][headDim] as in the state, little-endian, as rotated for their original positions
 * @param values [kvHead][kept][headDim], likewise
 */
public record PrunedLayer(int[][] positions, MemorySegment keys, MemorySegment values) {
  /** Positions kept per head. */
  public int kept() {
    return positions[0].length;
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
    long bytes = (long) config.kvWidth() * kept() * Short.BYTES;
    if (keys.byteSize() != bytes || values.byteSize() != bytes) {
      throw new IllegalArgumentException("keys of " + keys.byteSize() + " and values of "
          + values.byteSize() + " bytes, " + kept() + " positions kept take " + bytes);
    }
  }

  private void checkPositions(int[] ofHead, int from, int to) {
    if (ofHead.length != kept()) {
      throw new IllegalArgumentException(
          ofHead.length + " positions kept for one head, " + kept() + " for another");
    }
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
