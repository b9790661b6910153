package io.kvcache.placement;

import io.kvcache.spi.SegmentView;
import java.util.List;

/**
 * How much a use counts. Frequencies decay alike, so time alone changes no order; multiplied by the growth since a
 * fixed time they do not change at all until the next use, and heaps need not be touched as time goes by. Before the
 * growth gets too large for a double the fixed time is moved.
 */
final class Uses {
  private static final double MOST_HALF_LIVES = 256;

  private final boolean decayed;
  private final double halfLifeNanos;
  private long landmarkNanos;
  private boolean started;
  private double growth = 1;
  private long growthAt;

  Uses(boolean decayed, long halfLifeNanos) {
    this.decayed = decayed;
    this.halfLifeNanos = halfLifeNanos;
  }

  /** What one use at this time counts. */
  double now(long nowNanos) {
    if (!decayed || !started) {
      return 1;
    }
    if (nowNanos != growthAt) {
      growth = Math.pow(2, (nowNanos - landmarkNanos) / halfLifeNanos);
      growthAt = nowNanos;
    }
    return growth;
  }

  /** Uses of a segment as they count at this time, without the last {@code without}. */
  double of(SegmentView segment, long nowNanos, double without) {
    double count = plain(segment, nowNanos);
    return count > without ? Math.min(count - without, Double.MAX_VALUE) * now(nowNanos) : 0;
  }

  /** Uses of a segment as people count them, one just now being 1. */
  double plain(SegmentView segment, long nowNanos) {
    return decayed ? segment.frequency(nowNanos) : segment.uses();
  }

  /** Moves the fixed time when it is due. */
  void rebase(List<IndexedHeap> heaps, long nowNanos) {
    if (!started) {
      started = true;
      landmarkNanos = nowNanos;
      growthAt = nowNanos;
    }
    if (decayed && Math.abs((nowNanos - landmarkNanos) / halfLifeNanos) > MOST_HALF_LIVES) {
      double factor = 1 / Math.min(now(nowNanos), 1e300);
      heaps.forEach(heap -> heap.scale(factor));
      landmarkNanos = nowNanos;
      growthAt = nowNanos;
      growth = 1;
    }
  }
}
