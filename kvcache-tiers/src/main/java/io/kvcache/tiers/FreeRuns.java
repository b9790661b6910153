package io.kvcache.tiers;

/**
 * Free runs by size class: one list for each size up to 16 pages, then eight classes per doubling, so that
 * sizes within a class differ by less than an eighth. A bit per class says where to look. Not thread-safe.
 */
final class FreeRuns {
  /**
   * Runs looked at for a better fit within one class: enough to find equal sizes, few enough to stay quick.
   */
  private static final int MOST_TRIED = 32;

  private static final int CLASSES = 256; // the last class of an int is 231

  private final PageRun[] heads = new PageRun[CLASSES];
  private final long[] occupied = new long[CLASSES / Long.SIZE];
  private int count;

  int count() {
    return count;
  }

  void add(PageRun run) {
    int sizeClass = classOf(run.pages);
    PageRun head = heads[sizeClass];
    run.previousInClass = null;
    run.nextInClass = head;
    if (head != null) {
      head.previousInClass = run;
    }
    heads[sizeClass] = run;
    occupied[sizeClass >> 6] |= 1L << sizeClass;
    count++;
  }

  void remove(PageRun run) {
    int sizeClass = classOf(run.pages);
    if (run.previousInClass == null) {
      heads[sizeClass] = run.nextInClass;
    } else {
      run.previousInClass.nextInClass = run.nextInClass;
    }
    if (run.nextInClass != null) {
      run.nextInClass.previousInClass = run.previousInClass;
    }
    if (heads[sizeClass] == null) {
      occupied[sizeClass >> 6] &= ~(1L << sizeClass);
    }
    run.previousInClass = null;
    run.nextInClass = null;
    count--;
  }

  /**
   * A run of at least so many pages, about the smallest there is; null when there is none. Stays in the list.
   */
  PageRun find(int pages) {
    int sizeClass = classOf(pages);
    PageRun sameClass = smallestFit(heads[sizeClass], pages);
    if (sameClass != null) {
      return sameClass;
    }
    int larger = nextOccupied(sizeClass + 1);
    return larger < 0 ? null : smallestFit(heads[larger], pages);
  }

  private static PageRun smallestFit(PageRun head, int pages) {
    PageRun best = null;
    int tried = 0;
    for (PageRun run = head; run != null && tried < MOST_TRIED; run = run.nextInClass, tried++) {
      if (run.pages >= pages && (best == null || run.pages < best.pages)) {
        best = run;
        if (run.pages == pages) {
          break;
        }
      }
    }
    return best;
  }

  private int nextOccupied(int from) {
    for (int word = from >> 6; word < occupied.length; word++) {
      long bits = word == from >> 6 ? occupied[word] & (-1L << from) : occupied[word];
      if (bits != 0) {
        return (word << 6) + Long.numberOfTrailingZeros(bits);
      }
    }
    return -1;
  }

  /** Class of a size of at least one page: the three bits below the highest, and how far they stand up. */
  static int classOf(int pages) {
    int shift = Math.max(0, 28 - Integer.numberOfLeadingZeros(pages));
    return (shift << 3) + (pages >> shift);
  }
}
