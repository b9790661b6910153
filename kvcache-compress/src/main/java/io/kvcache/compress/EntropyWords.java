package io.kvcache.compress;

import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/** The words of a block while it is decoded: a few at a time, so that they stay in the first-level cache. */
final class EntropyWords {
  /** Read in one go, if a row does not need more. */
  private static final int LEAST_WINDOW = 1024;

  int[] words = new int[0];
  /** Of the first word in {@link #words} that was not used yet. */
  int position;
  private int end;
  private int window;
  private long at;
  private int left;

  /** Begins with the {@code count} words at {@code from}, for rows that take no more than {@code mostPerRow} each. */
  void begin(long from, int count, int mostPerRow) {
    window = Math.max(4 * mostPerRow, LEAST_WINDOW);
    if (words.length < window) {
      words = new int[window];
    }
    position = 0;
    end = 0;
    at = from;
    left = count;
  }

  /**
   * Reads on until there are as many words as a row can take. Behind the last one there are zeros: whoever uses one of
   * those has used too many.
   */
  void fill(MemorySegment stored, int mostPerRow) throws MalformedDataException {
    int kept = end - position;
    if (kept >= mostPerRow) {
      return;
    }
    if (kept < 0) {
      throw new MalformedDataException("a block's symbols go on where its words have ended");
    }
    System.arraycopy(words, position, words, 0, kept);
    int count = Math.min(left, window - kept);
    MemorySegment.copy(stored, Segments.INT, at, words, kept, count);
    at += 4L * count;
    left -= count;
    position = 0;
    end = kept + count;
    if (end < mostPerRow) {
      Arrays.fill(words, end, mostPerRow, 0);
    }
  }

  /** Whether all words were used, and none behind them. */
  boolean used() {
    return position == end && left == 0;
  }
}
