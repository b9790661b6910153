package io.kvcache.internal.engine;

import io.kvcache.internal.tree.Segment;
import io.kvcache.spi.PlacementEvent;
import io.kvcache.spi.SegmentView;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The segments whose qualities nobody has measured, in the order in which they came, and before them those that turned
 * out other than measured. Guarded by the inventory's lock.
 */
final class ProfileQueue {
  private static final int MOST_RETRIES = 3;

  private final boolean wanted;
  private final Set<Segment> drifted = new LinkedHashSet<>();
  private final Set<Segment> waiting = new LinkedHashSet<>();
  /** How often a segment was put back. */
  private final Map<Segment, Integer> retries = new HashMap<>();

  /**
   * An empty queue.
   *
   * @param wanted whether anyone wants to know qualities at all; else it stays empty
   */
  ProfileQueue(boolean wanted) {
    this.wanted = wanted;
  }

  /** Takes note of what happened to segments. */
  void on(PlacementEvent event) {
    if (!wanted) {
      return;
    }
    switch (event) {
      case PlacementEvent.Placed(SegmentView segment, int tier) -> add((Segment) segment);
      case PlacementEvent.Split(SegmentView upper, SegmentView lower) -> {
        add((Segment) upper);
        add((Segment) lower); // it may have been taken, and what was measured is then of the whole
      }
      case PlacementEvent.Gone(SegmentView segment) -> {
        waiting.remove(segment);
        drifted.remove(segment);
        retries.remove(segment);
      }
      default -> {
      }
    }
  }

  private void add(Segment segment) {
    if (!segment.profiled()) {
      waiting.add(segment);
    }
  }

  /** Has a segment measured again, before others. */
  void again(Segment segment) {
    if (wanted) {
      drifted.add(segment);
    }
  }

  /** Puts a segment back that could not be read, behind the others; a few times only, for it may never be readable. */
  void retry(Segment segment) {
    if (wanted && retries.merge(segment, 1, Integer::sum) <= MOST_RETRIES) {
      (segment.profiled() ? drifted : waiting).add(segment);
    }
  }

  /** A segment was measured: whatever was wrong with it is over. */
  void measured(Segment segment) {
    retries.remove(segment);
  }

  /** The next segment, which leaves the queue; null when there is none. */
  Segment take() {
    for (Set<Segment> queue : List.of(drifted, waiting)) {
      while (!queue.isEmpty()) {
        Segment next = queue.iterator().next();
        queue.remove(next);
        if (!next.detached() && (queue == drifted || !next.profiled())) {
          return next;
        }
      }
    }
    return null;
  }

  int size() {
    return waiting.size() + drifted.size();
  }
}
