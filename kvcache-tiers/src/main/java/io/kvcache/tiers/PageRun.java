package io.kvcache.tiers;

import java.lang.foreign.MemorySegment;

/**
 * Neighbouring pages of one slab, all taken or all free. The runs of a slab are linked in address order and
 * cover it; free ones are linked with others of their size class too. Links and sizes belong to the {@link
 * PageAllocator}; whoever was given a run may use its memory until it is freed.
 */
final class PageRun {
  /** Bytes of a page, and the alignment of every run. */
  static final int PAGE_BYTES = 4096;

  final MemorySegment slab;
  final int firstPage;
  int pages;
  boolean free;
  PageRun before;
  PageRun after;
  PageRun previousInClass;
  PageRun nextInClass;

  PageRun(MemorySegment slab, int firstPage, int pages) {
    this.slab = slab;
    this.firstPage = firstPage;
    this.pages = pages;
  }

  long bytes() {
    return (long) pages * PAGE_BYTES;
  }

  /** So many bytes of a taken run. */
  MemorySegment memory(long from, long length) {
    return slab.asSlice((long) firstPage * PAGE_BYTES + from, length);
  }

  /** Pages that hold so many bytes. */
  static long pagesFor(long bytes) {
    return bytes / PAGE_BYTES + (bytes % PAGE_BYTES == 0 ? 0 : 1);
  }

  /** Cuts all but the first pages off into a run of its own, taken like this one. */
  PageRun split(int keptPages) {
    PageRun rest = new PageRun(slab, firstPage + keptPages, pages - keptPages);
    rest.before = this;
    rest.after = after;
    if (after != null) {
      after.before = rest;
    }
    after = rest;
    pages = keptPages;
    return rest;
  }

  /** Takes in the next run of the slab, which ceases to be. */
  void joinNext() {
    pages += after.pages;
    after = after.after;
    if (after != null) {
      after.before = this;
    }
  }
}
