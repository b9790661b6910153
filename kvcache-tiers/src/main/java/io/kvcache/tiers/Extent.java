package io.kvcache.tiers;

/**
 * A run of pages in one extent file.
 *
 * @param file number of the file, from 0
 * @param firstPage page within the file, from 0
 * @param pages length, at least 1
 */
record Extent(int file, int firstPage, int pages) {
  /** Offset of the first byte in the file. */
  long position() {
    return (long) firstPage * Pages.BYTES;
  }

  long bytes() {
    return (long) pages * Pages.BYTES;
  }

  /** First page after this run. */
  long endPage() {
    return (long) firstPage + pages;
  }
}
