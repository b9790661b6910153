package io.kvcache.tiers;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.LockSupport;
import java.util.function.LongConsumer;
import org.rocksdb.ColumnFamilyDescriptor;
import org.rocksdb.ColumnFamilyHandle;
import org.rocksdb.FlushOptions;
import org.rocksdb.ReadOptions;
import org.rocksdb.RocksDB;
import org.rocksdb.RocksDBException;
import org.rocksdb.RocksIterator;
import org.rocksdb.Status;
import org.rocksdb.WriteBatch;
import org.rocksdb.WriteOptions;

/**
 * The index: a RocksDB with a record per entry and the parts too small for a page of their own. Every write goes
 * through its log. Any thread, concurrently; nobody may be inside when it is closed, which is its owner's duty,
 * because RocksDB answers use after close with a crash of the process.
 */
final class SsdIndex implements AutoCloseable {
  /** How long a write waits for RocksDB to catch up, or closing for its last tables. */
  private static final long MOST_STALL_NANOS = 5_000_000_000L;

  private static final long RETRY_NANOS = 1_000_000;
  private static final String UNWRITTEN = "rocksdb.num-immutable-mem-table";
  private static final byte[] PARTS = {'p', 'a', 'r', 't', 's'};

  private final Path directory;
  private final SsdIndexOptions options;
  private final RocksDB database;
  private final ColumnFamilyHandle records;
  private final ColumnFamilyHandle parts;
  private final ReadOptions reading = new ReadOptions();
  private final ReadOptions passing = new ReadOptions().setFillCache(false);
  private final WriteOptions logged = new WriteOptions().setNoSlowdown(true); // else a full disk stops the caller
  private final GroupSync sync = new GroupSync(this::syncLog);
  private volatile LogPromise promise = LogPromise.NONE;

  /** What is done with each row of a scan. */
  @FunctionalInterface
  interface Visitor {
    void visit(byte[] key, byte[] record) throws IOException;
  }

  /** As {@link #open(Path, long, LogPromise)}, where another process may have left a database. */
  static SsdIndex open(Path directory, long reserveBytes) throws IOException {
    return open(directory, reserveBytes, LogPromise.ALL);
  }

  /**
   * Opens or creates the database in a directory that exists.
   *
   * @param reserveBytes what its logs, write buffers and compactions may take beside its contents
   * @param promise how much of its logs must be sound
   * @throws DamagedIndexException when anything of it is damaged; nothing has then been changed
   * @throws IOException when the medium fails
   */
  static SsdIndex open(Path directory, long reserveBytes, LogPromise promise) throws IOException {
    LogScan.check(directory, promise);
    SsdIndexOptions options = new SsdIndexOptions(reserveBytes);
    List<ColumnFamilyHandle> families = new ArrayList<>();
    try {
      RocksDB database = RocksDB.open(options.database(), directory.toString(), List.of(
          new ColumnFamilyDescriptor(RocksDB.DEFAULT_COLUMN_FAMILY, options.records()),
          new ColumnFamilyDescriptor(PARTS, options.parts())), families);
      return new SsdIndex(directory, options, database, families);
    } catch (RocksDBException e) {
      options.close();
      throw failed("cannot open", directory, e);
    }
  }

  private SsdIndex(Path directory, SsdIndexOptions options, RocksDB database,
      List<ColumnFamilyHandle> families) {
    this.directory = directory;
    this.options = options;
    this.database = database;
    records = families.get(0);
    parts = families.get(1);
  }

  /** The record under {@code key}; null when there is none. */
  byte[] record(byte[] key) throws IOException {
    try {
      return database.get(records, reading, key);
    } catch (RocksDBException e) {
      throw failed("cannot read", directory, e);
    }
  }

  /** Reads a small part; returns its length, even where {@code target} is shorter, or -1 when there is none. */
  int part(long sequence, int part, MemorySegment target) throws IOException {
    ByteBuffer key = ByteBuffer.allocateDirect(SsdEntry.PART_KEY_BYTES);
    try {
      return database.get(parts, passing, key.put(partKey(sequence, part)).flip(), target.asByteBuffer());
    } catch (RocksDBException e) {
      throw failed("cannot read", directory, e);
    }
  }

  /** Visits all records, in the order of their keys, as they are at the call. */
  void scan(Visitor visitor) throws IOException {
    try (RocksIterator iterator = database.newIterator(records, passing)) {
      for (iterator.seekToFirst(); iterator.isValid(); iterator.next()) {
        visitor.visit(iterator.key(), iterator.value());
      }
      iterator.status();
    } catch (RocksDBException e) {
      throw failed("cannot list", directory, e);
    }
  }

  /** Visits the sequence number of every small part. */
  void scanParts(LongConsumer sequences) throws IOException {
    try (RocksIterator iterator = database.newIterator(parts, passing)) {
      for (iterator.seekToFirst(); iterator.isValid(); iterator.next()) {
        sequences.accept(ByteBuffer.wrap(iterator.key()).getLong());
      }
      iterator.status();
    } catch (RocksDBException e) {
      throw failed("cannot list", directory, e);
    }
  }

  /** Changes that become visible together, or not at all; to be closed. */
  final class Batch implements AutoCloseable {
    private final WriteBatch batch = new WriteBatch();

    void put(byte[] key, byte[] record) throws IOException {
      change(() -> batch.put(records, key, record));
    }

    void putPart(long sequence, int part, MemorySegment bytes) throws IOException {
      ByteBuffer key = ByteBuffer.allocateDirect(SsdEntry.PART_KEY_BYTES).put(partKey(sequence, part)).flip();
      change(() -> batch.put(parts, key, bytes.asByteBuffer()));
    }

    void delete(byte[] key) throws IOException {
      change(() -> batch.delete(records, key));
    }

    /** Deletes the small parts of an entry. */
    void deleteParts(SsdEntry entry) throws IOException {
      for (int i = 0; i < entry.parts().size(); i++) {
        if (entry.parts().get(i).small()) {
          byte[] key = partKey(entry.sequence(), i);
          change(() -> batch.delete(parts, key));
        }
      }
    }

    /** Deletes all small parts with this sequence number, however many there are. */
    void deleteParts(long sequence) throws IOException {
      change(() -> batch.deleteRange(parts, partKey(sequence, 0), partKey(sequence + 1, 0)));
    }

    /**
     * Makes the changes visible; durable they are after the next {@link SsdIndex#sync}.
     *
     * @return false when RocksDB takes no writes at the moment, as when its disk is full; nothing was then changed
     */
    boolean write() throws IOException {
      long start = System.nanoTime();
      boolean written = tryWrite();
      while (!written && System.nanoTime() - start < MOST_STALL_NANOS) {
        LockSupport.parkNanos(RETRY_NANOS);
        written = tryWrite();
      }
      return written;
    }

    private boolean tryWrite() throws IOException {
      try {
        database.write(logged, batch);
        return true;
      } catch (RocksDBException e) {
        if (e.getStatus() != null && e.getStatus().getCode() == Status.Code.Incomplete) {
          return false;
        }
        throw failed("cannot write", directory, e);
      }
    }

    @Override
    public void close() {
      batch.close();
    }
  }

  /** An empty batch. */
  Batch batch() {
    return new Batch();
  }

  /** Returns once everything written before the call survives power loss. */
  void sync() throws IOException {
    sync.sync();
  }

  /** Bytes of the files the database has now, those it is about to delete included. */
  long physicalBytes() throws IOException {
    return bytesIn(directory);
  }

  /** Rewrites the database without what was deleted. Long. */
  void compact() throws IOException {
    change(() -> {
      database.compactRange(parts);
      database.compactRange(records);
    });
  }

  /**
   * Empties the log into tables, so that the next opening has nothing to replay. Given up where RocksDB cannot write
   * tables now: the log is durable.
   */
  void flush() throws IOException {
    sync();
    try (FlushOptions flush = new FlushOptions().setWaitForFlush(false).setAllowWriteStall(true)) {
      long start = System.nanoTime();
      boolean begun = beginFlush(flush);
      while (!(begun && property(parts, UNWRITTEN) + property(records, UNWRITTEN) == 0)
          && property(records, "rocksdb.background-errors") == 0
          && System.nanoTime() - start < MOST_STALL_NANOS) {
        LockSupport.parkNanos(RETRY_NANOS);
        begun = begun || beginFlush(flush);
      }
    }
  }

  /** False when RocksDB says to try again later. */
  private boolean beginFlush(FlushOptions flush) throws IOException {
    try {
      database.flush(flush, List.of(records, parts));
      return true;
    } catch (RocksDBException e) {
      if (e.getStatus() != null && e.getStatus().getCode() == Status.Code.TryAgain) {
        return false;
      }
      throw failed("cannot write", directory, e);
    }
  }

  private long property(ColumnFamilyHandle family, String name) throws IOException {
    try {
      return database.getLongProperty(family, name);
    } catch (RocksDBException e) {
      throw failed("cannot read", directory, e);
    }
  }

  @Override
  public void close() {
    records.close();
    parts.close();
    database.close();
    reading.close();
    passing.close();
    logged.close();
    options.close();
  }

  /** Bytes of the files in a directory. */
  static long bytesIn(Path directory) throws IOException {
    long bytes = 0;
    try (DirectoryStream<Path> files = Files.newDirectoryStream(directory)) {
      for (Path file : files) {
        bytes += bytesOf(file);
      }
    }
    return bytes;
  }

  /** Length of a file; 0 when it is gone. */
  static long bytesOf(Path file) throws IOException {
    try {
      return Files.size(file);
    } catch (NoSuchFileException e) {
      return 0; // deleted since it was listed, as compaction does
    }
  }

  private void syncLog() throws IOException {
    LogPromise next = LogPromise.before(directory);
    change(database::syncWal);
    promise = next;
  }

  /** How much of the logs is durable, and must be found when they are read again. */
  LogPromise promise() {
    return promise;
  }

  /** A call that RocksDB may refuse. */
  @FunctionalInterface
  private interface Change {
    void run() throws RocksDBException;
  }

  private void change(Change change) throws IOException {
    try {
      change.run();
    } catch (RocksDBException e) {
      throw failed("cannot write", directory, e);
    }
  }

  private static IOException failed(String what, Path directory, RocksDBException cause) {
    String message = what + " the index " + directory + ": " + cause.getMessage();
    return isDamage(cause) ? new DamagedIndexException(message, cause) : new IOException(message, cause);
  }

  /**
   * By exclusion: what says that the medium fails, or is full, or busy, passes; a file that is gone does not. The
   * subcode for a full disk is not asked for, since RocksDB does not always give it.
   */
  static boolean isDamage(RocksDBException cause) {
    Status status = cause.getStatus();
    return status == null || switch (status.getCode()) {
      case IOError -> String.valueOf(cause.getMessage()).contains("No such file");
      case Incomplete, ShutdownInProgress, TimedOut, Aborted, Busy, TryAgain -> false;
      default -> true;
    };
  }

  /** Big-endian, so that the parts of an entry lie together and entries in the order they came. */
  private static byte[] partKey(long sequence, int part) {
    return ByteBuffer.allocate(SsdEntry.PART_KEY_BYTES).putLong(sequence).putInt(part).array();
  }
}
