package io.kvcache.internal.tree;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.TreeSet;

/**
 * The segments of which anything expires, the earliest first: what is over is found without looking at the others, and
 * what never expires takes nothing here. Guarded by the cache's lock.
 */
final class Expiries {
  private final TreeSet<Segment> order =
      new TreeSet<>(Comparator.comparingLong(Segment::noticeMillis).thenComparingLong(Segment::id));

  /** Takes note of what a segment's entries have become. */
  void update(Segment segment) {
    long earliest = segment.detached() ? Stored.NEVER : segment.expiryMillis();
    if (earliest != segment.noticeMillis()) {
      if (segment.noticeMillis() != Stored.NEVER) {
        order.remove(segment);
      }
      segment.setNoticeMillis(earliest);
      if (earliest != Stored.NEVER) {
        order.add(segment);
      }
    }
  }

  /** Whether anything is over that nobody holds. */
  boolean any(long nowMillis) {
    return !order.isEmpty() && order.first().noticeMillis() <= nowMillis && !over(nowMillis, 1).isEmpty();
  }

  /** Up to {@code most} segments that nobody holds, and of which something is over. */
  List<Segment> over(long nowMillis, int most) {
    List<Segment> over = new ArrayList<>();
    for (Segment segment : order) {
      if (segment.noticeMillis() > nowMillis || over.size() == most) {
        break;
      }
      if (!segment.busy()) {
        over.add(segment);
      }
    }
    return over;
  }

  int size() {
    return order.size();
  }
}
