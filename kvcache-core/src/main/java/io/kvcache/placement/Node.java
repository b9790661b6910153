package io.kvcache.placement;

import io.kvcache.spi.SegmentView;
import java.util.Arrays;

/** What the policy keeps of a segment: some 110 bytes with three tiers, and 12 in the heap of each tier it is in. */
final class Node {
  /** The place of what is not in a heap. */
  static final int NOWHERE = -1;

  final SegmentView segment;
  final Space space;
  /** For each tier its place in that tier's heap. */
  final int[] places;
  /** Whether it waits to be scored again. */
  boolean waiting;
  /** Its place in the plan being made. */
  int planned = NOWHERE;
  /** The tier it is to leave by the last plan that it was in, and what a byte of it costs, in uses at that time. */
  int leaving = NOWHERE;
  double leavesFor;
  /** Whether it was hit since it was stored. */
  boolean reused;
  /** Whether it is no more. */
  boolean gone;

  Node(SegmentView segment, Space space, int tiers) {
    this.segment = segment;
    this.space = space;
    this.places = new int[tiers];
    Arrays.fill(places, NOWHERE);
  }
}
