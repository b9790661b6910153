package io.kvcache.tiers;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.spi.EntryId;
import io.kvcache.testkit.Payloads;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Goal: whatever is damaged on disk, opening ends, succeeds and shows right entries or none, and nothing removed.
 * Method: damage one thing at a time in a copy of a store that was closed, or of one that was killed.
 */
final class SsdCorruptionTest {
  private static final long CAPACITY = 8 << 20;
  private static final int STORED = 12;
  private static final int REMOVED = 3; // the first few of them
  private static final long[] PARTS = {200, 70_000};
  private static final long OPEN_DEADLINE_SECONDS = 60;

  @TempDir
  Path scratch;

  private Path closed;
  private Path killed;
  private Path tried;
  private final ExecutorService opener = Executors.newSingleThreadExecutor();

  @BeforeEach
  void makeStores() throws IOException {
    closed = scratch.resolve("closed");
    killed = scratch.resolve("killed");
    tried = scratch.resolve("tried");
    try (SsdTier tier = SsdTier.builder(closed, CAPACITY).stagingBytes(1 << 20).open()) {
      for (int i = 0; i < STORED; i++) {
        assertTrue(Entries.store(tier, Payloads.entry(i), i, PARTS));
      }
      assertEquals(REMOVED, tier.remove(List.of(Payloads.entry(0), Payloads.entry(1), Payloads.entry(2))));
      Directories.copy(closed, killed);
    }
    Directories.copy(closed, tried);
  }

  @AfterEach
  void endOpener() throws InterruptedException {
    opener.shutdownNow();
    assertTrue(opener.awaitTermination(OPEN_DEADLINE_SECONDS, TimeUnit.SECONDS));
  }

  @Test
  void undamagedStoresShowEverything() throws Exception {
    for (Path store : List.of(closed, killed)) {
      Directories.replace(tried, store);
      assertEquals(STORED - REMOVED, intactEntries(store.toString(), false));
    }
  }

  @Test
  void flippedBitsInTheIndexOfAClosedStore() throws Exception {
    flipThrough(closed, 64);
  }

  @Test
  @Tag("long")
  void moreFlippedBitsInTheIndexOfAClosedStore() throws Exception {
    flipThrough(closed, 7);
  }

  @Test
  void flippedBitsInTheIndexOfAKilledStore() throws Exception {
    flipThrough(killed, 64);
  }

  @Test
  @Tag("long")
  void moreFlippedBitsInTheIndexOfAKilledStore() throws Exception {
    flipThrough(killed, 7);
  }

  /** Flips one bit in each so many bytes. */
  private void flipThrough(Path store, int blockBytes) throws Exception {
    for (Path file : Directories.files(store.resolve("index"))) {
      String name = file.getFileName().toString();
      if (name.startsWith("LOG") || name.startsWith("OPTIONS")) {
        continue; // written for people; opening reads neither
      }
      long size = Files.size(file);
      for (long block = 0; block * blockBytes < size; block++) {
        long at = Math.min(size - 1, block * blockBytes + block % blockBytes); // another place in each
        Directories.replace(tried.resolve("index"), store.resolve("index"));
        flip(tried.resolve("index").resolve(name), at, (int) block % 8);
        intactEntries(store.getFileName() + "/" + name + " at " + at, false);
      }
    }
  }

  /** Goal: the scan before opening finds every flipped bit, those on which RocksDB spins among them. */
  @Test
  void scanFindsEveryFlippedBit() throws Exception {
    Path index = killed.resolve("index");
    int found = 0;
    for (Path file : Directories.files(index)) {
      String name = file.getFileName().toString();
      if (name.startsWith("MANIFEST") || name.endsWith(".log")) {
        for (long at = 0; at < Files.size(file); at++) {
          for (int bit = name.startsWith("MANIFEST") || at % 7 == 0 ? 0 : 8; bit < 8; bit++) {
            flip(file, at, bit);
            String where = name + " at " + at + " bit " + bit;
            assertThrows(IOException.class, () -> LogScan.check(index), where);
            flip(file, at, bit);
            found++;
          }
        }
      }
    }
    LogScan.check(index);
    assertTrue(found > 1000, "only " + found + " flips were tried");
  }

  @Test
  void currentThatNamesNoManifest() throws Exception {
    for (String content : List.of("", "MANIFEST-000001", "MANIFEST-999999\n", "../marker\n",
        "x".repeat(9000))) {
      Directories.replace(tried, closed);
      Files.writeString(tried.resolve("index").resolve("CURRENT"), content);
      assertEquals(0, intactEntries("CURRENT is " + content, true));
    }
    Files.delete(tried.resolve("index").resolve("CURRENT"));
    assertEquals(0, intactEntries("no CURRENT", true));
    assertTrue(Files.isDirectory(tried.resolve("index.damaged")), "one is kept to look at");
  }

  /** Goal: a crash while the index is made for the first time is no damage. */
  @Test
  void indexThatWasNeverFinished() throws Exception {
    for (Path file : Directories.files(tried.resolve("index"))) {
      if (!file.getFileName().toString().startsWith("MANIFEST")) {
        Files.delete(file);
      }
    }
    try (SsdTier tier = open()) {
      assertFalse(tier.stats().indexReplaced());
      assertEquals(0, tier.usage().entries());
      assertTrue(Entries.store(tier, Payloads.entry(1), 1, PARTS));
    }
    try (SsdTier tier = open()) {
      assertEquals(1, tier.usage().entries());
    }
    assertFalse(Files.exists(tried.resolve("index.damaged")), "there was nothing to look at");
  }

  /** Goal: a log cut short at any place, as a crash does, is no damage. */
  @Test
  void logCutShort() throws Exception {
    Path log = Directories.files(killed.resolve("index")).stream()
        .filter(file -> file.toString().endsWith(".log")).max(Path::compareTo).orElseThrow();
    for (long size = Files.size(log); size >= 0; size -= 331) {
      Directories.replace(tried, killed);
      try (RandomAccessFile file =
          new RandomAccessFile(tried.resolve(killed.relativize(log)).toFile(), "rw")) {
        file.setLength(size);
      }
      openAndCount("log of " + size, Set.of(), false);
    }
  }

  @Test
  void damagedExtentsAreTheCallersToNotice() throws Exception {
    Path extents = tried.resolve("extents-00000");
    for (long at = 0; at < Files.size(extents); at += 64) {
      flip(extents, at, 3);
    }
    try (SsdTier tier = open(); Arena arena = Arena.ofConfined()) {
      MemorySegment target = Entries.target(arena, PARTS[1]);
      for (int i = REMOVED; i < STORED; i++) {
        assertEquals(i, Entries.version(tier, Payloads.entry(i), 0, target), "in the index");
        assertEquals(-2, Entries.versionIfSound(tier, Payloads.entry(i), 1, target), "in the damaged file");
      }
    }
  }

  @Test
  void missingAndShortExtentFilesLoseTheirEntries() throws Exception {
    Path extents = tried.resolve("extents-00000");
    try (RandomAccessFile file = new RandomAccessFile(extents.toFile(), "rw")) {
      file.setLength(10 * 18 * 4096L); // 18 pages for each entry
    }
    assertEquals(7, openAndCount("cut after ten", Set.of(), false));
    Files.delete(extents);
    assertEquals(0, openAndCount("missing", Set.of(), false));
    try (SsdTier tier = open()) {
      assertEquals(SsdOpening.reserveBytes(CAPACITY), tier.usage().usedBytes(), "nothing is left behind");
    }
  }

  /** Goal: two records that claim the same page are both wrong. */
  @Test
  void overlappingExtentsAreDropped() throws Exception {
    EntryId forged = Payloads.entry(90);
    forge(forged, new Extent(0, 3 * 18 + 17, 2)); // the last page of entry 3 and the first of entry 4
    try (SsdTier tier = open()) {
      assertEquals(3, tier.stats().misplacedEntries());
      Set<EntryId> left = Entries.ids(tier);
      assertFalse(
          left.contains(forged) || left.contains(Payloads.entry(3)) || left.contains(Payloads.entry(4)));
      assertEquals(STORED - REMOVED - 2, left.size());
    }
  }

  @Test
  void damagedRecordIsDroppedWithItsParts() throws Exception {
    EntryId victim = Payloads.entry(5);
    try (SsdIndex index = SsdIndex.open(tried.resolve("index"), 4 << 20);
        SsdIndex.Batch batch = index.batch()) {
      byte[] record = index.record(SsdEntry.key(victim));
      record[record.length - 1] ^= 1;
      batch.put(SsdEntry.key(victim), record);
      batch.put(SsdEntry.key(Payloads.entry(91)), index.record(SsdEntry.key(Payloads.entry(6)))); // swapped in
      assertTrue(batch.write());
    }
    try (SsdTier tier = open()) {
      assertEquals(2, tier.stats().damagedRecords());
      assertEquals(STORED - REMOVED - 1, Entries.ids(tier).size());
      assertFalse(Entries.ids(tier).contains(victim));
    }
    try (SsdIndex index = SsdIndex.open(tried.resolve("index"), 4 << 20)) {
      int[] parts = new int[1];
      index.scanParts(sequence -> parts[0]++);
      assertEquals(STORED - REMOVED - 1, parts[0], "small parts that nobody owns are gone");
    }
  }

  private void forge(EntryId id, Extent extent) throws IOException {
    byte[] key = SsdEntry.key(id);
    SsdEntry entry = new SsdEntry(1000, List.of(new SsdEntry.Part(8000, List.of(extent))), new byte[0]);
    try (SsdIndex index = SsdIndex.open(tried.resolve("index"), 4 << 20);
        SsdIndex.Batch batch = index.batch()) {
      batch.put(key, entry.encode(key));
      assertTrue(batch.write());
    }
  }

  private int intactEntries(String at, boolean replaced) throws Exception {
    return openAndCount(at, Set.of(0, 1, 2), replaced);
  }

  /** Opens within the deadline and checks every entry; returns how many there are, all of them intact. */
  private int openAndCount(String at, Set<Integer> gone, boolean replaced) throws Exception {
    int intact = 0;
    try (SsdTier tier = opener.submit(this::open).get(OPEN_DEADLINE_SECONDS, TimeUnit.SECONDS);
        Arena arena = Arena.ofConfined()) {
      assertTrue(!replaced || tier.stats().indexReplaced(), at + ": nothing was noticed");
      MemorySegment target = Entries.target(arena, PARTS[1]);
      for (int i = 0; i < STORED; i++) {
        long first = Entries.version(tier, Payloads.entry(i), 0, target);
        long second = Entries.version(tier, Payloads.entry(i), 1, target);
        assertTrue((first == i || first == -1) && (second == i || second == -1), at + ": another's bytes");
        assertFalse(gone.contains(i) && (first >= 0 || second >= 0),
            at + ": removed entry " + i + " is back");
        intact += first == i && second == i ? 1 : 0;
      }
    }
    return intact;
  }

  private SsdTier open() throws IOException {
    return SsdTier.builder(tried, CAPACITY).stagingBytes(1 << 20).open();
  }

  private static void flip(Path path, long at, int bit) throws IOException {
    try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
      file.seek(at);
      int old = file.read();
      file.seek(at);
      file.write(old ^ 1 << bit);
    }
  }
}
