package io.kvcache.internal.engine;

import io.kvcache.internal.tree.Segment;
import io.kvcache.spi.PlacementEvent;
import io.kvcache.spi.SegmentView;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * The segments whose qualities nobody has measured, in the order in which they came, and before them those that turned
 * out other than measured. Guarded by the inventory's lock.
 */
final class ProfileQueue {
  private final boolean wanted;
  private final Set<Segment> drifted = new LinkedHashSet<>();
  private final Set<Segment> waiting = new LinkedHashSet<>();

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
