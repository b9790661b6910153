package io.kvcache.tiers;

import io.kvcache.internal.memory.LargePages;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/**
 * {@link Pages} in slabs of one arena, numbered, and three words about each: what the
 * {@link PageAllocator} knows of a page lies in the slab behind its pages, so that it counts as what it takes and is
 * nothing to the garbage collector. Words are guarded by the allocator's lock.
 */
final class Slabs {
  /** Stands for no page. */
  static final int NONE = -1;

  /** Bytes that a page takes with the words about it. */
  static final int TAKEN_BYTES = Pages.BYTES + 3 * Integer.BYTES;
  /**
   * Usual pages of a slab: reserving 64 MiB takes some 30 ms where it has to be cleared at once, and a part of 8 MiB
   * wastes an eighth at most.
   */
  static final int USUAL_PAGES = 1 << 14;

  private static final int NUMBERS_SHIFT = Integer.numberOfTrailingZeros(USUAL_PAGES);
  private static final int TAG = 0;
  private static final int BEFORE = 1;
  private static final int BEHIND = 2;

  private final Arena arena;
  /** For each {@value #USUAL_PAGES} numbers the slab that has them; larger slabs stand here several times. */
  private volatile Slab[] slabs = {};

  private record Slab(MemorySegment memory, int firstPage, int pages) {}

  Slabs(Arena arena) {
    this.arena = arena;
  }

  /**
   * Reserves a slab of so many pages, all zero, and returns the first one; {@link #NONE} when the system has less
   * memory than it was thought to have, or there are no numbers left. Called by one thread at a time.
   */
  int reserve(int pages) {
    Slab[] known = slabs;
    int entries = (pages + USUAL_PAGES - 1) >> NUMBERS_SHIFT;
    if (known.length + (long) entries > Integer.MAX_VALUE >> NUMBERS_SHIFT) {
      return NONE;
    }
    Slab slab;
    try {
      slab = new Slab(LargePages.allocate(arena, (long) pages * TAKEN_BYTES), known.length << NUMBERS_SHIFT,
          pages);
    } catch (OutOfMemoryError refused) {
      return NONE;
    }
    Slab[] more = Arrays.copyOf(known, known.length + entries);
    Arrays.fill(more, known.length, more.length, slab);
    slabs = more;
    return slab.firstPage;
  }

  /** So many bytes of neighbouring pages, from an offset in the first one. */
  MemorySegment memory(int page, long from, long bytes) {
    Slab slab = of(page);
    return slab.memory.asSlice((long) (page - slab.firstPage) * Pages.BYTES + from, bytes);
  }

  /** Whether a page is the first of its slab. */
  boolean first(int page) {
    return of(page).firstPage == page;
  }

  /** Whether a slab ends before this page. */
  boolean ended(int pageBefore) {
    Slab slab = of(pageBefore);
    return pageBefore + 1 == slab.firstPage + slab.pages;
  }

  int tag(int page) {
    return word(page, TAG);
  }

  void tag(int page, int value) {
    word(page, TAG, value);
  }

  /** The page before this one in a list. */
  int before(int page) {
    return word(page, BEFORE) - 1;
  }

  void before(int page, int other) {
    word(page, BEFORE, other + 1);
  }

  /** The page behind this one in a list. */
  int behind(int page) {
    return word(page, BEHIND) - 1;
  }

  void behind(int page, int other) {
    word(page, BEHIND, other + 1);
  }

  private int word(int page, int which) {
    Slab slab = of(page);
    return slab.memory.get(ValueLayout.JAVA_INT, offset(slab, page, which));
  }

  private void word(int page, int which, int value) {
    Slab slab = of(page);
    slab.memory.set(ValueLayout.JAVA_INT, offset(slab, page, which), value);
  }

  private static long offset(Slab slab, int page, int which) {
    return (long) slab.pages * Pages.BYTES + ((page - slab.firstPage) * 3L + which) * Integer.BYTES;
  }

  private Slab of(int page) {
    return slabs[page >> NUMBERS_SHIFT];
  }
}
