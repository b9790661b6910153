package io.kvcache.bench.limits;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import org.rocksdb.FlushOptions;
import org.rocksdb.Options;
import org.rocksdb.ReadOptions;
import org.rocksdb.RocksDB;
import org.rocksdb.RocksDBException;
import org.rocksdb.WriteOptions;

/** The same values in a plain RocksDB: its defaults, large values in blob files. */
final class BlobValues implements AutoCloseable {
  private final Options options;
  private final RocksDB database;
  private final ByteBuffer value;
  private long stored;

  /**
   * Opens one.
   *
   * @param directReads whether reads go past the page cache, which by default they do not
   */
  BlobValues(Path directory, int valueBytes, boolean directReads, long alreadyStored) throws IOException {
    RocksDB.loadLibrary();
    options = new Options().setCreateIfMissing(true).setEnableBlobFiles(true).setUseDirectReads(directReads);
    stored = alreadyStored;
    value = ByteBuffer.allocateDirect(valueBytes);
    Data.fill(MemorySegment.ofBuffer(value));
    try {
      database = RocksDB.open(options, directory.toString());
    } catch (RocksDBException e) {
      options.close();
      throw new IOException(e);
    }
  }

  /** Values stored. */
  long stored() {
    return stored;
  }

  /** Stores so many bytes; returns how many it really were, all of which are on the device then. */
  long store(long bytes) throws IOException {
    try (WriteOptions writing = new WriteOptions();
        FlushOptions flush = new FlushOptions()) {
      long count = bytes / value.capacity();
      for (long number = 0; number < count; number++) {
        database.put(writing, key(stored++), value.clear());
      }
      database.flush(flush);
      database.syncWal();
      return count * value.capacity();
    } catch (RocksDBException e) {
      throw new IOException(e);
    }
  }

  /** Reads everything; returns the bytes. */
  long read() throws IOException {
    try (ReadOptions reading = new ReadOptions()) {
      for (long number = 0; number < stored; number++) {
        if (database.get(reading, key(number), value.clear()) != value.capacity()) {
          throw new IOException("value " + number + " is not there");
        }
      }
      return stored * value.capacity();
    } catch (RocksDBException e) {
      throw new IOException(e);
    }
  }

  private static ByteBuffer key(long number) {
    return ByteBuffer.allocateDirect(Long.BYTES).putLong(number).flip();
  }

  @Override
  public void close() {
    database.close();
    options.close();
  }
}
