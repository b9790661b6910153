package io.kvcache.spi;

import io.kvcache.Encoding;
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

  /**
   * A segment's qualities were measured, or measured anew.
   *
   * @param segment whose; {@link SegmentView#quality} gives them
   */
  record Profiled(SegmentView segment) implements PlacementEvent {}

  /**
   * Loading from a tier in an encoding now takes as long as this: the first estimate, or a lasting change.
   *
   * @param tier index of the tier
   * @param encoding how what is loaded is encoded; decoding is part of the delay
   * @param line by stored bytes; the fixed part is for a request
   */
  record LoadDelay(int tier, Encoding encoding, DelayLine line) implements PlacementEvent {}

  /**
   * Storing into a tier now takes as long as this.
   *
   * @param tier index of the tier
   * @param line by stored bytes
   */
  record StoreDelay(int tier, DelayLine line) implements PlacementEvent {}

  /**
   * Computing KV instead of loading it now takes as long as this.
   *
   * @param line by tokens
   */
  record RecomputeDelay(DelayLine line) implements PlacementEvent {}
}
