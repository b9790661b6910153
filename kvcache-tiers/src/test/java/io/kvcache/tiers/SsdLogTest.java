package io.kvcache.tiers;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.testkit.Payloads;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.rocksdb.ColumnFamilyDescriptor;
import org.rocksdb.ColumnFamilyHandle;
import org.rocksdb.Env;
import org.rocksdb.Options;
import org.rocksdb.RocksDB;
import org.rocksdb.RocksDBException;
import org.rocksdb.SstFileManager;
import org.rocksdb.Status;
import org.rocksdb.WriteOptions;

/** What a sync stands for, and RocksDB's ways of losing what it was told. */
@Timeout(60)
final class SsdLogTest {
  private static final long CAPACITY = 32 << 20;
  private static final long[] PARTS = {2000, 500};
  private static final int SYNCED = 8;
  private static final int ENTRIES = 24;

  @TempDir
  Path scratch;

  private Path directory() {
    return scratch.resolve("tier");
  }

  private SsdTier open() throws IOException {
    return SsdTier.builder(directory(), CAPACITY).stagingBytes(4 << 20).pauses(Long.MAX_VALUE, Long.MAX_VALUE)
        .open();
  }

  private Path log() throws IOException {
    return Directories.files(directory().resolve("index")).stream()
        .filter(file -> file.toString().endsWith(".log")).max(Path::compareTo).orElseThrow();
  }

  /** A disk as the kernel shows it: once a sync has failed, what it was about is forgotten, and the next succeeds. */
  private static final class ForgetfulDisk {
    private final Set<Integer> dirty = new TreeSet<>();
    private final Set<Integer> durable = new TreeSet<>();
    private int failing = -1;

    void sync() throws IOException {
      boolean fails = failing-- == 0;
      if (!fails) {
        durable.addAll(dirty);
      }
      dirty.clear();
      if (fails) {
        throw new IOException("injected");
      }
    }
  }

  /** Writes and syncs ten pages, each tried once more when it fails; returns those acknowledged that are not there. */
  private static List<Integer> lost(ForgetfulDisk disk, GroupSync.Action sync) {
    List<Integer> acknowledged = new ArrayList<>();
    for (int page = 0; page < 10; page++) {
      disk.dirty.add(page);
      for (int attempt = 0; attempt < 2; attempt++) {
        try {
          sync.run();
          acknowledged.add(page);
          break;
        } catch (IOException e) {
          assertFalse(acknowledged.contains(page));
        }
      }
    }
    acknowledged.removeAll(disk.durable);
    return acknowledged;
  }

  @Test
  void syncIsNotAcknowledgedAfterOneFailed() {
    ForgetfulDisk disk = new ForgetfulDisk();
    disk.failing = 4;
    assertEquals(List.of(), lost(disk, new GroupSync(disk::sync)::sync));
  }

  /** Goal: the test above would notice. */
  @Test
  void syncTriedAgainLosesWhatItAcknowledges() {
    ForgetfulDisk disk = new ForgetfulDisk();
    disk.failing = 4;
    assertEquals(List.of(4), lost(disk, disk::sync));
  }

  /** Stores entries, some of them flushed, and fails; returns what of the log is durable. */
  private LogPromise failAfterFlush(SsdTier tier) throws IOException {
    for (int number = 0; number < ENTRIES; number++) {
      assertTrue(Entries.store(tier, Payloads.entry(number), 1, PARTS));
      if (number == SYNCED - 1) {
        assertEquals(1, tier.remove(List.of(Payloads.entry(0))));
        tier.flush();
      }
    }
    tier.store().records().fail(new IOException("injected"));
    return tier.store().promise();
  }

  private static long[] versions(SsdTier tier) {
    long[] versions = new long[ENTRIES];
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment target = Entries.target(arena, PARTS[0]);
      for (int number = 0; number < ENTRIES; number++) {
        versions[number] = Entries.version(tier, Payloads.entry(number), 0, target);
        assertEquals(versions[number], Entries.version(tier, Payloads.entry(number), 1, target));
      }
    }
    return versions;
  }

  private static void clear(Path file, long from, long bytes) throws IOException {
    try (RandomAccessFile opened = new RandomAccessFile(file.toFile(), "rw")) {
      opened.seek(from);
      opened.write(new byte[(int) Math.min(bytes, opened.length() - from)]);
    }
  }

  /** Goal: pages that the kernel dropped after a failed sync cost what was not flushed, and nothing else. */
  @Test
  void onlyWhatWasNotSyncedMayBeLostFromTheLog() throws IOException {
    for (int dropped = 0; dropped < 4; dropped++) {
      Directories.delete(directory());
      try (SsdTier tier = open()) {
        LogPromise promise = failAfterFlush(tier);
        assertTrue(promise.bytes() > 0 && promise.bytes() < Files.size(log()), promise::toString);
        clear(log(), promise.bytes() + dropped * 4096L, 4096);
        assertTrue(tier.heal());
        assertFalse(tier.stats().indexReplaced());
        long[] versions = versions(tier);
        int there = 0;
        for (int number = 0; number < ENTRIES; number++) {
          assertEquals(number == 0 ? -1 : number < SYNCED ? 1 : versions[number], versions[number],
              "" + number);
          there += versions[number] == 1 ? 1 : 0;
        }
        assertTrue(there >= SYNCED - 1 && there < ENTRIES - 1, "the damage did nothing");
        assertTrue(Entries.store(tier, Payloads.entry(0), 1, PARTS));
        tier.flush();
      }
      try (SsdTier tier = open()) {
        assertEquals(1, versions(tier)[0]);
      }
    }
  }

  /** Goal: what was synced is not given up silently. */
  @Test
  void damageBeforeThatIsNoticed() throws IOException {
    try (SsdTier tier = open()) {
      LogPromise promise = failAfterFlush(tier);
      clear(log(), promise.bytes() / 2, 100);
      assertTrue(tier.heal());
      assertTrue(tier.stats().indexReplaced());
    }
  }

  /** Goal: a removal of what lies in tables already is durable. Method: the files as a crash leaves them. */
  @Test
  void removalSurvivesACrash() throws IOException {
    try (SsdTier tier = open()) {
      assertTrue(Entries.store(tier, Payloads.entry(1), 1, PARTS));
    }
    Path crashed = scratch.resolve("crashed");
    try (SsdTier tier = open()) {
      assertEquals(1, tier.remove(List.of(Payloads.entry(1))));
      Directories.copy(directory(), crashed);
    }
    try (SsdTier tier = SsdTier.builder(crashed, CAPACITY).open()) {
      assertEquals(Set.of(), Entries.ids(tier));
    }
  }

  /** Goal: the test above would notice a removal that the log does not have. */
  @Test
  void removalPastTheLogComesBack() throws Exception {
    try (SsdTier tier = open()) {
      assertTrue(Entries.store(tier, Payloads.entry(1), 1, PARTS));
    }
    Path crashed = scratch.resolve("crashed");
    List<ColumnFamilyHandle> families = new ArrayList<>();
    try (SsdIndexOptions options = new SsdIndexOptions(4 << 20);
        RocksDB database = RocksDB.open(options.database(), directory().resolve("index").toString(),
            List.of(new ColumnFamilyDescriptor(RocksDB.DEFAULT_COLUMN_FAMILY, options.records()),
                new ColumnFamilyDescriptor("parts".getBytes(StandardCharsets.US_ASCII), options.parts())),
            families);
        WriteOptions unlogged = new WriteOptions().setDisableWAL(true)) {
      database.delete(unlogged, SsdEntry.key(Payloads.entry(1)));
      Directories.copy(directory(), crashed);
      families.forEach(ColumnFamilyHandle::close);
    }
    try (SsdTier tier = SsdTier.builder(crashed, CAPACITY).open()) {
      assertEquals(Set.of(Payloads.entry(1)), Entries.ids(tier));
    }
  }

  /** Goal: no failure of the medium counts as damage, whatever RocksDB calls it: its own limit is no "no space". */
  @Test
  void fullDiskIsNotToldByItsSubcode() throws Exception {
    Path database = Files.createDirectory(scratch.resolve("capped"));
    RocksDB.loadLibrary();
    try (SstFileManager capped = new SstFileManager(Env.getDefault());
        Options options = new Options().setCreateIfMissing(true).setWriteBufferSize(64 << 10)
            .setSstFileManager(capped);
        WriteOptions impatient = new WriteOptions().setNoSlowdown(true); // else it would wait for ever
        RocksDB opened = RocksDB.open(options, database.toString())) {
      capped.setMaxAllowedSpaceUsage(256 << 10);
      RocksDBException refused = assertThrows(RocksDBException.class, () -> {
        for (int i = 0; i < 10_000; i++) {
          opened.put(impatient, ("key " + i).getBytes(StandardCharsets.US_ASCII), new byte[4096]);
        }
      });
      assertTrue(refused.getStatus().getSubCode() != Status.SubCode.NoSpace, "RocksDB has changed");
      assertFalse(SsdIndex.isDamage(refused));
    }
  }
}
