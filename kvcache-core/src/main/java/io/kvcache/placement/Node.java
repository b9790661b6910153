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
  /** The tier that it makes room in by the last plan it was in, and what a byte costs, in uses at that time. */
  int yields = NOWHERE;
  double yieldsFor;
  /** Whether it stays there, compressed. */
  boolean yieldsInPlace;
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
