package io.kvcache.tiers;

import java.util.List;
import org.rocksdb.AbstractNativeReference;
import org.rocksdb.BlockBasedTableConfig;
import org.rocksdb.BloomFilter;
import org.rocksdb.Cache;
import org.rocksdb.ColumnFamilyOptions;
import org.rocksdb.CompressionType;
import org.rocksdb.DBOptions;
import org.rocksdb.InfoLogLevel;
import org.rocksdb.LRUCache;
import org.rocksdb.RocksDB;
import org.rocksdb.WALRecoveryMode;
import org.rocksdb.WriteBufferManager;

/**
 * How RocksDB is set up: bounded in memory and in what it takes on disk beside its contents.
 *
 * <p>Of the reserve, about an eighth is log, an eighth write buffers being written out and what is written for people,
 * a quarter tables whose deletions have not met what they delete, and half is for a compaction, which writes before it
 * deletes what it read: at most the tables of the first two levels, or an eighth of the reserve further down.
 */
final class SsdIndexOptions implements AutoCloseable {
  private static final long BLOCK_CACHE_BYTES = 32 << 20;
  private static final int MOST_OPEN_FILES = 256;

  static {
    RocksDB.loadLibrary(); // none of its classes works before
  }

  private final Cache blocks = new LRUCache(BLOCK_CACHE_BYTES, 2, true); // true: a hard limit
  private final Cache buffersShare;
  private final WriteBufferManager buffers;
  private final BloomFilter filter = new BloomFilter(10);
  private final DBOptions database;
  private final ColumnFamilyOptions records;
  private final ColumnFamilyOptions parts;

  SsdIndexOptions(long reserveBytes) {
    long bufferBytes = reserveBytes / 32;
    buffersShare = new LRUCache(4 * bufferBytes);
    buffers = new WriteBufferManager(4 * bufferBytes, buffersShare);
    records = family(bufferBytes);
    parts = family(bufferBytes);
    database = new DBOptions()
        .setCreateIfMissing(true)
        .setCreateMissingColumnFamilies(true)
        .setWalRecoveryMode(WALRecoveryMode.PointInTimeRecovery)
        .setWriteBufferManager(buffers)
        .setMaxTotalWalSize(2 * bufferBytes)
        .setMaxOpenFiles(MOST_OPEN_FILES)
        .setMaxBackgroundJobs(2)
        .setAllowFAllocate(false) // files are as long as what is in them, so that sizes add up
        .setMaxManifestFileSize(bufferBytes / 2)
        .setInfoLogLevel(InfoLogLevel.ERROR_LEVEL)
        .setMaxLogFileSize(128 << 10)
        .setKeepLogFileNum(1)
        .setStatsDumpPeriodSec(0)
        .setStatsPersistPeriodSec(0);
  }

  private ColumnFamilyOptions family(long bufferBytes) {
    BlockBasedTableConfig tables = new BlockBasedTableConfig()
        .setBlockCache(blocks)
        .setCacheIndexAndFilterBlocks(true) // else they would take memory without limit
        .setFilterPolicy(filter);
    return new ColumnFamilyOptions()
        .setTableFormatConfig(tables)
        .setCompressionType(CompressionType.NO_COMPRESSION)
        .setWriteBufferSize(bufferBytes)
        .setMaxWriteBufferNumber(2)
        .setTargetFileSizeBase(2 * bufferBytes)
        .setMaxBytesForLevelBase(4 * bufferBytes)
        .setMaxCompactionBytes(4 * bufferBytes)
        .setLevelCompactionDynamicLevelBytes(true);
  }

  DBOptions database() {
    return database;
  }

  ColumnFamilyOptions records() {
    return records;
  }

  ColumnFamilyOptions parts() {
    return parts;
  }

  @Override
  public void close() {
    List.of(database, records, parts, buffers, filter, buffersShare, blocks)
        .forEach(AbstractNativeReference::close);
  }
}
