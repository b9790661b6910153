package io.kvcache.spi;

import java.util.List;

/** What happened to segments; a policy is rebuilt from these alone. */
public sealed interface PlacementEvent {
  /**
   * Chunks came into a tier: stored, extended, moved, or found there at a warm restart (least recently used first).
   *
   * @param segment where
   * @param tier index of the tier
   */
  record Placed(SegmentView segment, int tier) implements PlacementEvent {}

  /**
   * Some or all of the segment's chunks left a tier; {@link SegmentView#chunksIn} says what remains.
   *
   * @param segment where
   * @param tier index of the tier
   */
  record Left(SegmentView segment, int tier) implements PlacementEvent {}

  /**
   * A look-up covered these segments.
   *
   * @param path from the start of the context on
   */
  record Hit(List<? extends SegmentView> path) implements PlacementEvent {}

  /**
   * A segment was split because contexts branch within it. Both parts are in the tiers the whole was in.
   *
   * @param upper the new segment, with the leading chunks
   * @param lower the old segment, which keeps the rest
   */
  record Split(SegmentView upper, SegmentView lower) implements PlacementEvent {}

  /**
   * A segment is no more.
   *
   * @param segment which
   */
  record Gone(SegmentView segment) implements PlacementEvent {}
}
