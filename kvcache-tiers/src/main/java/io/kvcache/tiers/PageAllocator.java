package io.kvcache.tiers;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Hands out runs of pages from {@link Slabs}, each named by its first page: segregated fit, splitting, and joining of
 * free neighbours. Never reserves more than it was allowed, never gives a slab back before the arena is closed.
 *
 * <p>The tag of a run's first and last page says how long it is and whether it is free (Knuth's boundary tags); of
 * pages in between it says nothing, or that a run that was joined to the one before began there no more.
 *
 * <p>Slabs are reserved when first needed, which takes no time where large pages can be asked for; their pages are
 * cleared at first touch. Elsewhere {@link Arena#allocate} zeroes them, about 0.4 ms a MiB. A mapped file in shared
 * memory is bounded by a file system's limit that ends the process when passed, and may not be there.
 *
 * <p>Threads: all methods may be called concurrently. Reserving a slab blocks only those who need it.
 */
final class PageAllocator {
  /** Runs of the size that a slab is reserved for which it should hold at least. */
  private static final int RUNS_PER_SLAB = 8;

  private static final int FREE = 1 << 31;
  private static final int FIRST = 1 << 30;
  private static final int MOST_PAGES = FIRST - 1;

  private final Slabs slabs;
  private final FreeRuns freeRuns;
  private final long limitPages;
  private final Object growing = new Object();
  private long reservedPages;
  private long usedPages;
  private int slabCount;

  /** Reserves nothing yet, and never more than so many bytes. */
  PageAllocator(Arena arena, long limitBytes) {
    slabs = new Slabs(arena);
    freeRuns = new FreeRuns(slabs);
    limitPages = limitBytes / Slabs.TAKEN_BYTES;
  }

  /** Pages of the run that a tag is about. */
  static int length(int tag) {
    return tag & MOST_PAGES;
  }

  /** Most pages there can be. */
  long limitPages() {
    return limitPages;
  }

  /**
   * Takes a run of at least so many bytes, at least 1; {@link Slabs#NONE} when there is none.
   *
   * @throws IllegalStateException when the arena is closed
   */
  int allocate(long bytes) {
    long pages = Pages.holding(bytes);
    if (pages > Math.min(limitPages, MOST_PAGES)) {
      return Slabs.NONE;
    }
    int run = take((int) pages);
    if (run == Slabs.NONE) {
      synchronized (growing) {
        run = take((int) pages); // another thread may have grown it meanwhile
        if (run == Slabs.NONE && grow((int) pages)) {
          run = take((int) pages);
        }
      }
    }
    return run;
  }

  /** So many bytes of a taken run. */
  MemorySegment memory(int run, long from, long bytes) {
    return slabs.memory(run, from, bytes);
  }

  /** Pages of a taken run. */
  synchronized int pages(int run) {
    return length(slabs.tag(run));
  }

  /** Gives back the pages of a taken run that so many bytes do not need. */
  synchronized void shrink(int run, long bytes) {
    int pages = requireTaken(run);
    int kept = (int) Pages.holding(bytes);
    if (kept < pages) {
      mark(run, kept, 0);
      mark(run + kept, pages - kept, 0);
      giveBack(run + kept, pages - kept);
    }
  }

  /** Gives back a taken run. */
  synchronized void free(int run) {
    giveBack(run, requireTaken(run));
  }

  private int requireTaken(int run) {
    int tag = slabs.tag(run);
    if ((tag & FREE) != 0 || (tag & FIRST) == 0) {
      throw new IllegalStateException("run at page " + run + " freed twice");
    }
    return length(tag);
  }

  private void giveBack(int run, int pages) {
    usedPages -= pages;
    int first = run;
    int end = run + pages;
    if (!slabs.first(run) && (slabs.tag(run - 1) & FREE) != 0) {
      int before = length(slabs.tag(run - 1));
      first = run - before;
      freeRuns.remove(first, before);
      slabs.tag(run - 1, 0);
      slabs.tag(run, 0);
    }
    if (!slabs.ended(end - 1) && (slabs.tag(end) & FREE) != 0) {
      int behind = length(slabs.tag(end));
      freeRuns.remove(end, behind);
      slabs.tag(end - 1, 0);
      slabs.tag(end, 0);
      end += behind;
    }
    mark(first, end - first, FREE);
    freeRuns.add(first, end - first);
  }

  private void mark(int run, int pages, int state) {
    slabs.tag(run + pages - 1, state | pages);
    slabs.tag(run, state | FIRST | pages);
  }

  /** Bytes of the limit that taken runs use, with what is kept of them. */
  synchronized long usedBytes() {
    return usedPages * Slabs.TAKEN_BYTES;
  }

  synchronized long reservedBytes() {
    return reservedPages * Slabs.TAKEN_BYTES;
  }

  synchronized int slabs() {
    return slabCount;
  }

  synchronized int freeRuns() {
    return freeRuns.count();
  }

  private synchronized int take(int pages) {
    int run = freeRuns.find(pages);
    if (run == Slabs.NONE) {
      return Slabs.NONE;
    }
    int length = length(slabs.tag(run));
    freeRuns.remove(run, length);
    mark(run, pages, 0);
    if (length > pages) {
      mark(run + pages, length - pages, FREE);
      freeRuns.add(run + pages, length - pages);
    }
    usedPages += pages;
    return run;
  }

  /** Reserves a slab of at least so many pages; called by one thread at a time. */
  private boolean grow(int pages) {
    long left = limitPages - reservedBytes() / Slabs.TAKEN_BYTES;
    if (left < pages) {
      return false;
    }
    long usual = Math.max(Slabs.USUAL_PAGES, (long) pages * RUNS_PER_SLAB);
    int slabPages = (int) Math.min(Math.min(usual, left), MOST_PAGES);
    int run = slabs.reserve(slabPages);
    if (run == Slabs.NONE) {
      return false; // as good as a full tier
    }
    synchronized (this) {
      reservedPages += slabPages;
      slabCount++;
      mark(run, slabPages, FREE);
      freeRuns.add(run, slabPages);
    }
    return true;
  }
}
