package io.kvcache.tiers;

import io.kvcache.spi.MalformedDataException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Reads the whole index when a store is opened, finds which pages its entries take and drops what cannot be
 * right: records that do not check out, extents outside of the files, extents that two entries claim (then neither
 * is believed), and what does not fit the capacity any more. One thread.
 */
final class SsdSurvey {
  private final SsdIndex index;
  private final Map<Integer, Long> filePages;
  private final long budgetBytes;
  private final Map<Integer, BitSet> used = new HashMap<>();
  private final Map<Integer, BitSet> contested = new HashMap<>();
  private final List<byte[]> unreadable = new ArrayList<>();
  private boolean outside;
  private long entries;
  private long indexBytes;
  private long lastSequence;
  private long damaged;
  private long misplaced;
  private long shrunk;

  /** Chooses entries. */
  @FunctionalInterface
  private interface Choice {
    boolean chooses(SsdEntry entry);
  }

  /**
   * A survey to be run.
   *
   * @param filePages length of each extent file in pages
   * @param budgetBytes what extent files and index may take together, the reserve not counted
   */
  SsdSurvey(SsdIndex index, Map<Integer, Long> filePages, long budgetBytes) {
    this.index = index;
    this.filePages = filePages;
    this.budgetBytes = budgetBytes;
  }

  /** Leaves an index in which every entry is believable and all fit. */
  void run() throws IOException {
    count();
    damaged = unreadable.size();
    if (damaged > 0) {
      delete(unreadable);
      dropOrphans();
    }
    if (outside || !contested.isEmpty()) {
      misplaced = drop(
          entry -> entry.extents().stream().anyMatch(extent -> !isInFile(extent) || isContested(extent)));
      count();
    }
    while (excessBytes() > 0) {
      shrunk += indexBytes > budgetBytes ? dropForIndex() : dropFromEnd();
      count();
    }
    if (damaged + misplaced + shrunk > 0) {
      index.sync();
    }
  }

  long entries() {
    return entries;
  }

  /** Bytes of the cap that the index is charged for. */
  long indexBytes() {
    return indexBytes;
  }

  /** Pages taken, by file. */
  Map<Integer, BitSet> usedPages() {
    return used;
  }

  /** The highest sequence number seen. */
  long lastSequence() {
    return lastSequence;
  }

  long damaged() {
    return damaged;
  }

  long misplaced() {
    return misplaced;
  }

  long shrunk() {
    return shrunk;
  }

  /** A damaged record does not say which small parts were its own: all are dropped that no other record has. */
  private void dropOrphans() throws IOException {
    Set<Long> sequences = new HashSet<>();
    index.scan((key, record) -> sequences.add(decode(key, record).sequence()));
    Set<Long> orphans = new HashSet<>();
    index.scanParts(sequence -> {
      if (!sequences.contains(sequence)) {
        orphans.add(sequence);
      }
    });
    try (SsdIndex.Batch batch = index.batch()) {
      for (long orphan : orphans) {
        batch.deleteParts(orphan);
      }
      write(batch);
    }
  }

  private void delete(List<byte[]> keys) throws IOException {
    try (SsdIndex.Batch batch = index.batch()) {
      for (byte[] key : keys) {
        batch.delete(key);
      }
      write(batch);
    }
  }

  private static void write(SsdIndex.Batch batch) throws IOException {
    if (!batch.write()) {
      throw new IOException("the index takes no writes");
    }
  }

  private long drop(Choice choice) throws IOException {
    long[] dropped = new long[1];
    try (SsdIndex.Batch batch = index.batch()) {
      index.scan((key, record) -> {
        SsdEntry entry = decode(key, record);
        if (choice.chooses(entry)) {
          batch.delete(key);
          batch.deleteParts(entry);
          dropped[0]++;
        }
      });
      write(batch);
    }
    return dropped[0];
  }

  /** In no particular order, since which entries are worth keeping is not known here. */
  private long dropForIndex() throws IOException {
    long[] excess = {indexBytes - budgetBytes};
    return drop(entry -> {
      boolean doomed = excess[0] > 0;
      excess[0] -= doomed ? entry.indexBytes() : 0;
      return doomed;
    });
  }

  /** What lies furthest back, so that the files can be cut there. */
  private long dropFromEnd() throws IOException {
    long left = (budgetBytes - indexBytes) / Pages.BYTES;
    Map<Integer, Long> limits = new HashMap<>();
    for (int file : used.keySet().stream().sorted().toList()) {
      long length = Math.min(left, used.get(file).length());
      limits.put(file, length);
      left -= length;
    }
    return drop(
        entry -> entry.extents().stream().anyMatch(extent -> extent.endPage() > limits.get(extent.file())));
  }

  /** Adds up what the index says; what is not to be believed is only noted. */
  private void count() throws IOException {
    used.clear();
    contested.clear();
    unreadable.clear();
    entries = 0;
    indexBytes = 0;
    index.scan((key, record) -> {
      try {
        SsdEntry.id(key);
        count(SsdEntry.decode(key, record));
      } catch (MalformedDataException e) {
        unreadable.add(key);
      }
    });
  }

  private void count(SsdEntry entry) {
    lastSequence = Math.max(lastSequence, entry.sequence());
    entries++;
    indexBytes += entry.indexBytes();
    for (Extent extent : entry.extents()) {
      if (isInFile(extent)) {
        take(extent);
      } else {
        outside = true;
      }
    }
  }

  private void take(Extent extent) {
    BitSet taken = used.computeIfAbsent(extent.file(), file -> new BitSet());
    int end = (int) extent.endPage();
    for (int page = taken.nextSetBit(extent.firstPage()); page >= 0 && page < end;
        page = taken.nextSetBit(page + 1)) {
      contested.computeIfAbsent(extent.file(), file -> new BitSet()).set(page);
    }
    taken.set(extent.firstPage(), end);
  }

  private long excessBytes() {
    long pages = used.values().stream().mapToLong(BitSet::length).sum();
    return indexBytes + pages * Pages.BYTES - budgetBytes;
  }

  private boolean isInFile(Extent extent) {
    return extent.endPage() <= Math.min(filePages.getOrDefault(extent.file(), 0L), Integer.MAX_VALUE);
  }

  private boolean isContested(Extent extent) {
    BitSet pages = contested.get(extent.file());
    int page = pages == null ? -1 : pages.nextSetBit(extent.firstPage());
    return page >= 0 && page < extent.endPage();
  }

  private static SsdEntry decode(byte[] key, byte[] record) throws IOException {
    try {
      return SsdEntry.decode(key, record);
    } catch (MalformedDataException e) {
      throw new IOException("index record changed while it was read", e);
    }
  }
}
