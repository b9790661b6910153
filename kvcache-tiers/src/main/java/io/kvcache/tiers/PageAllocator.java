package io.kvcache.tiers;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Hands out runs of {@value PageRun#PAGE_BYTES}-byte pages from slabs of one arena: segregated fit,
 * splitting, and joining of free neighbours. Never reserves more than it was allowed, never gives a slab back
 * before the arena is closed.
 *
 * <p>Slabs are reserved when first needed. {@link Arena#allocate} zeroes them, which takes about 0.4 ms a MiB
 * once; mapping a file in shared memory returns at once but pays as much on first touch, is bounded by a file
 * system's limit that ends the process when passed, and needs a file system that may not be there.
 *
 * <p>Threads: all methods may be called concurrently. Reserving a slab blocks only those who need it.
 */
final class PageAllocator {
  /** Usual bytes of a slab: reserving one takes some 30 ms, and a part of 8 MiB wastes an eighth at most. */
  private static final long SLAB_BYTES = 64L << 20;

  /** Runs of the size that a slab is reserved for which it should hold at least. */
  private static final int RUNS_PER_SLAB = 8;

  private static final long MOST_SLAB_PAGES = Integer.MAX_VALUE;

  private final Arena arena;
  private final long limitPages;
  private final Object growing = new Object();
  private final FreeRuns freeRuns = new FreeRuns();
  private long reservedPages;
  private long usedPages;
  private int slabs;

  /**
   * Reserves nothing yet; {@code limitBytes} is at least a page, less than which of a last page is not used.
   */
  PageAllocator(Arena arena, long limitBytes) {
    this.arena = arena;
    limitPages = limitBytes / PageRun.PAGE_BYTES;
  }

  /**
   * Takes a run of at least so many bytes, at least 1; null when there is none.
   *
   * @throws IllegalStateException when the arena is closed
   */
  PageRun allocate(long bytes) {
    long pages = PageRun.pagesFor(bytes);
    if (pages > Math.min(limitPages, MOST_SLAB_PAGES)) {
      return null;
    }
    PageRun run = take((int) pages);
    if (run == null) {
      synchronized (growing) {
        run = take((int) pages); // another thread may have grown it meanwhile
        if (run == null && grow(pages)) {
          run = take((int) pages);
        }
      }
    }
    return run;
  }

  /** Gives back the pages of a taken run that so many bytes do not need. */
  synchronized void shrink(PageRun run, long bytes) {
    int kept = (int) PageRun.pagesFor(bytes);
    if (kept < run.pages) {
      free(run.split(kept));
    }
  }

  /** Gives back a taken run. */
  synchronized void free(PageRun run) {
    if (run.free) {
      throw new IllegalStateException("run at page " + run.firstPage + " freed twice");
    }
    run.free = true;
    usedPages -= run.pages;
    PageRun joined = run;
    if (run.before != null && run.before.free) {
      joined = run.before;
      freeRuns.remove(joined);
      joined.joinNext();
    }
    if (joined.after != null && joined.after.free) {
      freeRuns.remove(joined.after);
      joined.joinNext();
    }
    freeRuns.add(joined);
  }

  synchronized long usedBytes() {
    return usedPages * PageRun.PAGE_BYTES;
  }

  synchronized long reservedBytes() {
    return reservedPages * PageRun.PAGE_BYTES;
  }

  synchronized int slabs() {
    return slabs;
  }

  synchronized int freeRuns() {
    return freeRuns.count();
  }

  private synchronized PageRun take(int pages) {
    PageRun run = freeRuns.find(pages);
    if (run == null) {
      return null;
    }
    freeRuns.remove(run);
    run.free = false;
    if (run.pages > pages) {
      PageRun rest = run.split(pages);
      rest.free = true;
      freeRuns.add(rest);
    }
    usedPages += pages;
    return run;
  }

  /** Reserves a slab of at least so many pages; called by one thread at a time. */
  private boolean grow(long pages) {
    long left = limitPages - reservedBytes() / PageRun.PAGE_BYTES;
    if (left < pages) {
      return false;
    }
    long usual = Math.max(SLAB_BYTES / PageRun.PAGE_BYTES, pages * RUNS_PER_SLAB);
    int slabPages = (int) Math.min(Math.min(usual, left), MOST_SLAB_PAGES);
    MemorySegment slab;
    try {
      slab = arena.allocate((long) slabPages * PageRun.PAGE_BYTES, PageRun.PAGE_BYTES);
    } catch (OutOfMemoryError refused) {
      return false; // the system has less than it was thought to have: as good as a full tier
    }
    synchronized (this) {
      reservedPages += slabPages;
      slabs++;
      PageRun whole = new PageRun(slab, 0, slabPages);
      whole.free = true;
      freeRuns.add(whole);
    }
    return true;
  }
}
