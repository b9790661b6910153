package io.kvcache.spi;

import java.util.Objects;

/** An operation a policy asks for. The cache may find it impossible by the time, and then drops it. */
public sealed interface Move {
  /** What is to be moved. */
  SegmentView segment();

  /**
   * Gets the segment's chunks into another placement.
   *
   * @param segment what is to be moved
   * @param from index of the tier they are read from
   * @param to where they go, and how encoded; a lossy codec is applied to exact bytes only
   * @param keepSource whether they stay in {@code from} as well
   */
  record Transfer(SegmentView segment, int from, Placement to, boolean keepSource) implements Move {
    /** Checks every component. */
    public Transfer {
      Objects.requireNonNull(segment, "segment");
      Objects.requireNonNull(to, "to");
    }
  }

  /**
   * Removes the segment's chunks from one tier.
   *
   * @param segment what is to be removed
   * @param tier index of the tier
   */
  record Drop(SegmentView segment, int tier) implements Move {
    /** Checks the component. */
    public Drop {
      Objects.requireNonNull(segment, "segment");
    }
  }
}
