package io.kvcache.spi;

import java.util.EnumSet;
import java.util.Objects;
import java.util.Set;

/** An operation a policy asks for. The cache may find it impossible by the time, and then drops it. */
public sealed interface Move {
  /** What is to be moved. */
  SegmentView segment();

  /**
   * Gets the segment's chunks into another placement.
   *
   * @param segment what is to be moved
   * @param from index of the tier they are read from
   * @param to where they go, and how encoded; {@code from} itself to encode them anew in place. What is not exact
   *     any more is only ever encoded as {@link Codings#reencodable} allows, else copied as it is
   * @param keepSource whether they stay in {@code from} as well; where the target is of the same tier and class it
   *     takes the source's place in any case
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
   * @param classes which of its variants there
   */
  record Drop(SegmentView segment, int tier, Set<VariantClass> classes) implements Move {
    /** Checks every component. */
    public Drop {
      Objects.requireNonNull(segment, "segment");
      classes = Set.copyOf(classes);
    }

    /** Removes everything of the segment from one tier. */
    public Drop(SegmentView segment, int tier) {
      this(segment, tier, EnumSet.allOf(VariantClass.class));
    }
  }
}
