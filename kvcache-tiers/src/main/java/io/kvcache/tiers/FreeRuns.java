package io.kvcache.tiers;

import java.util.Arrays;

/**
 * Free runs of pages by size class: one list for each size up to 16 pages, then eight classes per doubling, so that
 * sizes within a class differ by less than an eighth. A bit per class says where to look. Not thread-safe.
 */
final class FreeRuns {
  /**
   * Runs looked at for a better fit within one class: enough to find equal sizes, few enough to stay quick.
   */
  private static final int MOST_TRIED = 32;

  private static final int CLASSES = 256; // the last class of an int is 231

  private final Slabs slabs;
  private final int[] heads = new int[CLASSES];
  private final long[] occupied = new long[CLASSES / Long.SIZE];
  private int count;

  FreeRuns(Slabs slabs) {
    this.slabs = slabs;
    Arrays.fill(heads, Slabs.NONE);
  }

  int count() {
    return count;
  }

  /** Adds the run of so many pages that begins with {@code page}. */
  void add(int page, int pages) {
    int sizeClass = classOf(pages);
    int head = heads[sizeClass];
    slabs.before(page, Slabs.NONE);
    slabs.behind(page, head);
    if (head != Slabs.NONE) {
      slabs.before(head, page);
    }
    heads[sizeClass] = page;
    occupied[sizeClass >> 6] |= 1L << sizeClass;
    count++;
  }

  /** Takes a run out that was added with as many pages. */
  void remove(int page, int pages) {
    int sizeClass = classOf(pages);
    int before = slabs.before(page);
    int behind = slabs.behind(page);
    if (before == Slabs.NONE) {
      heads[sizeClass] = behind;
    } else {
      slabs.behind(before, behind);
    }
    if (behind != Slabs.NONE) {
      slabs.before(behind, before);
    }
    if (heads[sizeClass] == Slabs.NONE) {
      occupied[sizeClass >> 6] &= ~(1L << sizeClass);
    }
    count--;
  }

  /**
   * First page of a run of at least so many, about the smallest there is; {@link Slabs#NONE} when there is none. Stays
   * in the list.
   */
  int find(int pages) {
    int sizeClass = classOf(pages);
    int sameClass = smallestFit(heads[sizeClass], pages);
    if (sameClass != Slabs.NONE) {
      return sameClass;
    }
    int larger = nextOccupied(sizeClass + 1);
    return larger < 0 ? Slabs.NONE : smallestFit(heads[larger], pages);
  }

  private int smallestFit(int head, int pages) {
    int best = Slabs.NONE;
    int least = Integer.MAX_VALUE;
    int tried = 0;
    for (int run = head; run != Slabs.NONE && tried < MOST_TRIED && least > pages;
        run = slabs.behind(run), tried++) {
      int length = PageAllocator.length(slabs.tag(run));
      if (length >= pages && length < least) {
        best = run;
        least = length;
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
