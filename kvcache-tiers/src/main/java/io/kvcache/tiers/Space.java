package io.kvcache.tiers;

import java.io.IOException;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Keeps the books of the byte cap and says which pages are free. Thread-safe.
 *
 * <p>The cap is split into a fixed reserve, the index's charge and the length of the extent files. Files grow when
 * pages are wanted that no free run has, and are cut at the end when the index wants their room. A claim is
 * accepted only if it fits beside everything used and claimed, so that a claimed page is always found, in one run
 * if possible, else in several.
 */
final class Space {
  private final long reserveBytes;
  private final long budgetBytes;
  private final long filePages;
  private final long growPages;
  private final ExtentFiles files;
  private final FreeExtents free = new FreeExtents();
  private final TreeMap<Integer, Long> lengths = new TreeMap<>();
  private long lengthPages;
  private long claimedPages;
  private long indexBytes;

  /**
   * Over files that are all free.
   *
   * @param capacityBytes cap on everything
   * @param reserveBytes what is set aside for the index's logs, compactions and fixed files
   * @param files what is resized
   */
  Space(long capacityBytes, long reserveBytes, ExtentFiles files) throws IOException {
    this.reserveBytes = reserveBytes;
    this.files = files;
    budgetBytes = capacityBytes - reserveBytes;
    filePages = Math.clamp(capacityBytes / 64, 1L << 20, 4L << 30) / Pages.BYTES;
    growPages = Math.min(filePages, (64 << 20) / Pages.BYTES);
    for (Map.Entry<Integer, Long> file : files.pages().entrySet()) {
      if (file.getValue() > 0) {
        free.add(address(file.getKey(), 0), file.getValue());
      }
      lengths.put(file.getKey(), file.getValue());
      lengthPages += file.getValue();
    }
  }

  /** Bytes taken or claimed, the reserve included. */
  synchronized long usedBytes() {
    return reserveBytes + indexBytes + (lengthPages - free.total() + claimedPages) * Pages.BYTES;
  }

  /** Bytes that the index may take by now: its charge and the reserve. */
  synchronized long indexAllowanceBytes() {
    return reserveBytes + indexBytes;
  }

  /** Bytes of pages that are claimed but not written. */
  synchronized long claimedBytes() {
    return claimedPages * Pages.BYTES;
  }

  /** Claims pages and index bytes, both or neither. */
  synchronized boolean claim(long pages, long bytes) throws IOException {
    long left = budgetBytes - indexBytes - (lengthPages - free.total() + claimedPages) * Pages.BYTES;
    if (pages > left / Pages.BYTES || bytes > left - pages * Pages.BYTES) {
      return false;
    }
    long missing = bytes - roomBytes();
    if (missing > 0 && !cutTails(Pages.holding(missing))) {
      return false;
    }
    claimedPages += pages;
    indexBytes += bytes;
    return true;
  }

  /** Whether so much could be claimed if there were no entries, but all the pages that are claimed now. */
  synchronized boolean couldHold(long pages, long bytes) {
    long left = budgetBytes - claimedPages * Pages.BYTES;
    return pages <= left / Pages.BYTES && bytes <= left - pages * Pages.BYTES;
  }

  /** Gives claimed pages and index bytes back. */
  synchronized void unclaim(long pages, long bytes) {
    claimedPages -= pages;
    indexBytes -= bytes;
  }

  /** Turns claimed pages into extents, in order. On failure they are still claimed. */
  synchronized List<Extent> allocate(long pages) throws IOException {
    List<Extent> extents = new ArrayList<>();
    try {
      for (long left = pages; left > 0;) {
        Extent extent = next(Math.min(left, filePages));
        extents.add(extent);
        left -= extent.pages();
      }
    } catch (IOException e) {
      free(extents);
      throw e;
    }
    claimedPages -= pages;
    return extents;
  }

  /** Makes extents reusable. */
  synchronized void free(List<Extent> extents) {
    for (Extent extent : extents) {
      free.add(address(extent.file(), extent.firstPage()), extent.pages());
    }
  }

  /** While opening: takes the pages, by file, and the index bytes that entries have. */
  synchronized void restore(Map<Integer, BitSet> usedPages, long usedIndexBytes) {
    usedPages.forEach((file, used) -> {
      for (int from = used.nextSetBit(0); from >= 0;) {
        int to = used.nextClearBit(from);
        free.takeRange(address(file, from), to - from);
        from = used.nextSetBit(to);
      }
    });
    indexBytes = usedIndexBytes;
  }

  /** Cuts free pages off the ends of files until files and index fit the cap; false when they cannot. */
  synchronized boolean fit() throws IOException {
    long excess = -roomBytes();
    return excess <= 0 || cutTails(Pages.holding(excess));
  }

  /** Bytes of the cap that neither the files nor the index have. */
  private long roomBytes() {
    return budgetBytes - indexBytes - lengthPages * Pages.BYTES;
  }

  private Extent next(long pages) throws IOException {
    long start = free.take(pages);
    while (start < 0 && roomBytes() >= Pages.BYTES) {
      grow(pages);
      start = free.take(pages);
    }
    if (start >= 0) {
      return extent(start, pages);
    }
    FreeExtents.Run longest = free.takeLongest();
    assert longest != null : "claimed pages are not there";
    return extent(longest.start(), longest.pages());
  }

  /** Lengthens the first file that is not full, else a new one. */
  private void grow(long wanted) throws IOException {
    int number = 0;
    while (lengths.getOrDefault(number, 0L) >= filePages) {
      number++;
    }
    long length = lengths.getOrDefault(number, 0L);
    long step =
        Math.min(Math.max(wanted, growPages), Math.min(filePages - length, roomBytes() / Pages.BYTES));
    files.grow(number, length + step);
    lengths.put(number, length + step);
    lengthPages += step;
    free.add(address(number, length), step);
  }

  private boolean cutTails(long pages) throws IOException {
    long left = pages;
    for (int number : lengths.descendingKeySet()) {
      long length = lengths.get(number);
      FreeExtents.Run tail = length == 0 ? null : free.endingAt(address(number, length));
      if (tail != null && left > 0) {
        long cut = Math.min(left, tail.pages());
        files.truncate(number, length - cut);
        free.takeRange(address(number, length - cut), cut);
        lengths.put(number, length - cut);
        lengthPages -= cut;
        left -= cut;
      }
    }
    return left <= 0;
  }

  /** Addresses of different files are never neighbours, because no file has 2³² pages. */
  private static long address(int file, long page) {
    return (long) file << 32 | page;
  }

  private static Extent extent(long start, long pages) {
    return new Extent((int) (start >> 32), (int) start, Math.toIntExact(pages));
  }
}
