package io.kvcache.tiers;

import java.util.Comparator;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * Free pages as runs, neighbours merged. Best fit, the lowest address among equals, so that space drains from the
 * end. Not thread-safe.
 */
final class FreeExtents {
  private final TreeMap<Long, Run> byStart = new TreeMap<>();
  private final TreeSet<Run> bySize =
      new TreeSet<>(Comparator.comparingLong(Run::pages).thenComparingLong(Run::start));
  private long total;

  /** So many free pages from {@code start}. */
  record Run(long start, long pages) {
    long end() {
      return start + pages;
    }
  }

  /** Free pages in all. */
  long total() {
    return total;
  }

  /** Takes a run of exactly {@code pages}; -1 when no free run is that long. */
  long take(long pages) {
    Run fit = bySize.ceiling(new Run(Long.MIN_VALUE, pages));
    if (fit == null) {
      return -1;
    }
    remove(fit);
    if (fit.pages > pages) {
      insert(new Run(fit.start + pages, fit.pages - pages));
    }
    return fit.start;
  }

  /** Takes the longest run there is; null when nothing is free. */
  Run takeLongest() {
    if (bySize.isEmpty()) {
      return null;
    }
    Run longest = bySize.last();
    remove(longest);
    return longest;
  }

  /** Takes these very pages, which must be free. */
  void takeRange(long start, long pages) {
    Run around = byStart.floorEntry(start).getValue();
    assert around.end() >= start + pages : "not free: page " + start;
    remove(around);
    if (around.start < start) {
      insert(new Run(around.start, start - around.start));
    }
    if (around.end() > start + pages) {
      insert(new Run(start + pages, around.end() - start - pages));
    }
  }

  /** The run that ends just before page {@code end}; null when that page is taken. */
  Run endingAt(long end) {
    Map.Entry<Long, Run> below = byStart.lowerEntry(end);
    return below != null && below.getValue().end() == end ? below.getValue() : null;
  }

  /** Makes pages free that were not. */
  void add(long start, long pages) {
    long from = start;
    long to = start + pages;
    Map.Entry<Long, Run> below = byStart.floorEntry(start);
    Map.Entry<Long, Run> above = byStart.ceilingEntry(start);
    assert below == null || below.getValue().end() <= start : "freed twice: page " + start;
    assert above == null || above.getKey() >= to : "freed twice: page " + above.getKey();
    if (below != null && below.getValue().end() == start) {
      from = below.getKey();
      remove(below.getValue());
    }
    if (above != null && above.getKey() == to) {
      to = above.getValue().end();
      remove(above.getValue());
    }
    insert(new Run(from, to - from));
  }

  private void insert(Run run) {
    byStart.put(run.start, run);
    bySize.add(run);
    total += run.pages;
  }

  private void remove(Run run) {
    byStart.remove(run.start);
    bySize.remove(run);
    total -= run.pages;
  }
}
