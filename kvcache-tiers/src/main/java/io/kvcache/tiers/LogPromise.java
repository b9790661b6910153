package io.kvcache.tiers;

import java.io.IOException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * How much of a database's write-ahead logs is durable and must therefore be sound: all logs before one, and the first
 * bytes of that one. After a sync that failed, what comes behind may read as anything, with pages of it dropped; that
 * is no damage, and nobody was told that it lasts.
 *
 * @param log number of the log
 * @param bytes of it that were synced
 */
record LogPromise(long log, long bytes) {
  /** Of logs that another process left: nobody knows better. */
  static final LogPromise ALL = new LogPromise(Long.MAX_VALUE, 0);

  /** Of a database just opened: what its logs held is in tables by then. */
  static final LogPromise NONE = new LogPromise(0, 0);

  private static final Pattern NAME = Pattern.compile("(\\d{6,18})\\.log");

  /** What a sync that starts now promises, once it succeeds; of what RocksDB drops meanwhile, nothing. */
  static LogPromise before(Path database) throws IOException {
    long latest = 0;
    try (DirectoryStream<Path> logs = Files.newDirectoryStream(database, "*.log")) {
      for (Path log : logs) {
        latest = Math.max(latest, number(log));
      }
    } catch (DirectoryIteratorException e) {
      throw e.getCause();
    }
    return new LogPromise(latest, SsdIndex.bytesOf(database.resolve(String.format("%06d.log", latest))));
  }

  /** Bytes of a log from its start that must be sound. */
  long of(Path path) {
    long number = number(path);
    return number < log ? Long.MAX_VALUE : number == log ? bytes : 0;
  }

  /** 0 for what RocksDB would not take for a log. */
  private static long number(Path path) {
    Matcher name = NAME.matcher(path.getFileName().toString());
    return name.matches() ? Long.parseLong(name.group(1)) : 0;
  }
}
