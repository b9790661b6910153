package io.kvcache.tiers;

import java.util.Arrays;

/**
 * Which run of pages each part of an entry lies in, and where; its record is the first. Small neighbours share a run,
 * each on a cache line: whole pages would cost more than the parts themselves where a model is small or its KV
 * compressed hard. A large part has a run of its own, which is easier to find than one for a whole entry.
 */
final class Packing {
  /** Neighbours share a run as long as it is no longer than this. */
  static final int SHARED_BYTES = 256 << 10;
  /** Alignment of a part in a run that it shares. */
  private static final int LINE_BYTES = 64;

  private final int[] runs;
  private final int[] offsets;
  private final long[] runBytes;

  /** Of parts of these lengths, each at least 1. */
  Packing(long[] partBytes) {
    runs = new int[partBytes.length];
    offsets = new int[partBytes.length];
    long[] bytes = new long[partBytes.length];
    int run = -1;
    for (int part = 0; part < partBytes.length; part++) {
      long offset = run < 0 ? 0 : (bytes[run] + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
      if (run < 0 || offset > SHARED_BYTES - Math.min(partBytes[part], SHARED_BYTES + 1)) {
        run++;
        offset = 0;
      }
      runs[part] = run;
      offsets[part] = (int) offset;
      bytes[run] = offset + partBytes[part];
    }
    runBytes = Arrays.copyOf(bytes, run + 1);
  }

  /** How many runs there are. */
  int runs() {
    return runBytes.length;
  }

  /** Bytes of a run. */
  long runBytes(int run) {
    return runBytes[run];
  }

  /** The run that a part lies in. */
  int run(int part) {
    return runs[part];
  }

  /** Where a part begins in its run. */
  int offset(int part) {
    return offsets[part];
  }

  /** Pages of all runs together. */
  long pages() {
    long pages = 0;
    for (long bytes : runBytes) {
      pages += Pages.holding(bytes);
    }
    return pages;
  }

  /** What is needed of a run when its parts turn out to be so long and stay where they are. */
  long endOf(int run, long[] partBytes) {
    long end = 0;
    for (int part = 0; part < runs.length; part++) {
      if (runs[part] == run) {
        end = Math.max(end, offsets[part] + partBytes[part]);
      }
    }
    return end;
  }
}
