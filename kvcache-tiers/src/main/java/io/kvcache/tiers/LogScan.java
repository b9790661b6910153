package io.kvcache.tiers;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.zip.CRC32C;

/**
 * Checks every record of RocksDB's MANIFEST and write-ahead logs before RocksDB opens them. Its own recovery loops
 * for ever on some flipped type bytes, and silently ends the log at the first record that does not check out,
 * which would bring removed entries back.
 *
 * <p>Both files are blocks of {@value #BLOCK} bytes filled with records: masked CRC32C of type and payload (4
 * bytes), payload length (2), type (1), payload. What a crash leaves at the end of a log is a record cut short; it
 * is cut off here, as RocksDB would ignore it. It is told from a damaged length by what follows: after a real end
 * there is no sound record, and the bytes left are no sound payload.
 */
final class LogScan {
  private static final int BLOCK = 32 << 10;
  private static final int HEADER = 7;
  private static final long MOST_PER_CALL = 16 << 20;
  private static final int MASK_DELTA = 0xa282ead8;
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final Path path;
  private final MemorySegment log;
  private final long promised;

  private LogScan(Path path, MemorySegment log, long promised) {
    this.path = path;
    this.log = log;
    this.promised = promised;
  }

  /** As {@link #check(Path, LogPromise)}, of a database that another process left. */
  static void check(Path database) throws IOException {
    check(database, LogPromise.ALL);
  }

  /**
   * Checks the logs of a database and cuts off what a crash left of a last record, or a failed sync of any behind what
   * is promised. A directory that has neither logs nor tables, nor says which manifest is current, was being made into
   * a database when a crash came: it is none yet.
   *
   * @throws DamagedIndexException when anything is damaged or missing
   */
  static void check(Path database, LogPromise promise) throws IOException {
    Path current = database.resolve("CURRENT");
    boolean begun = Files.exists(current);
    try (DirectoryStream<Path> files = Files.newDirectoryStream(database)) {
      for (Path file : files) {
        String name = file.getFileName().toString();
        if (name.endsWith(".log")) {
          checkFile(file, promise.of(file));
        }
        begun |= name.endsWith(".log") || name.endsWith(".sst");
      }
    }
    if (begun) {
      checkFile(database.resolve(currentManifest(current)), Long.MAX_VALUE);
    }
  }

  private static String currentManifest(Path current) throws IOException {
    if (!Files.exists(current)) {
      throw new DamagedIndexException(current + " is missing");
    }
    byte[] bytes = Files.readAllBytes(current);
    String name = new String(bytes, StandardCharsets.ISO_8859_1);
    if (!name.matches("MANIFEST-\\d{6,19}\\n")) {
      throw new DamagedIndexException(current + " of " + bytes.length + " bytes names no manifest");
    }
    return name.strip();
  }

  private static void checkFile(Path path, long promised) throws IOException {
    if (!Files.exists(path)) {
      throw new DamagedIndexException(path + " is missing");
    }
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      long end;
      try (Arena arena = Arena.ofConfined()) {
        end = new LogScan(path, readAll(channel, arena), promised).soundEnd();
      }
      if (end < channel.size()) {
        channel.truncate(end);
        channel.force(true);
      }
    }
  }

  /** Not mapped: where the disk cannot be read, a mapping fails at some later access, and not as a file does. */
  private static MemorySegment readAll(FileChannel channel, Arena arena) throws IOException {
    MemorySegment all = arena.allocate(channel.size());
    long done = 0;
    while (done < all.byteSize()) {
      MemorySegment piece = all.asSlice(done, Math.min(MOST_PER_CALL, all.byteSize() - done));
      int got = channel.read(piece.asByteBuffer(), done);
      if (got < 0) {
        throw new IOException("a log became shorter while it was read");
      }
      done += got;
    }
    return all;
  }

  /** Where the last whole record ends that counts; the file's end unless a crash or a failed sync spoiled some. */
  private long soundEnd() throws IOException {
    long at = 0;
    while (at < log.byteSize()) {
      long blockLeft = BLOCK - at % BLOCK;
      long left = Math.min(blockLeft, log.byteSize() - at);
      if (blockLeft < HEADER || at < promised && isZero(at, left)) { // padding: no record starts here
        at += left;
      } else if (at >= promised && (left < HEADER || !isSound(at, left))) {
        return at;
      } else if (left < HEADER || HEADER + length(at) > left && HEADER + length(at) <= blockLeft) {
        requireCutShort(at);
        return at;
      } else if (isSound(at, left)) {
        at += HEADER + length(at);
      } else {
        throw new DamagedIndexException(path + " is damaged at offset " + at);
      }
    }
    return at;
  }

  /** Fails when the record at {@code at}, which seems to go beyond the file, is a whole one with a false length. */
  private void requireCutShort(long at) throws IOException {
    long size = log.byteSize();
    boolean falseLength = size - at > HEADER && checksum(at, size - at - HEADER) == log.get(INT, at);
    for (long next = at + 1; next + HEADER <= size && !falseLength; next++) {
      falseLength = isSound(next, size - next);
    }
    if (falseLength) {
      throw new DamagedIndexException(path + " has a damaged length at offset " + at);
    }
  }

  private boolean isSound(long at, long left) {
    return isKnownType(log.get(ValueLayout.JAVA_BYTE, at + 6)) && HEADER + length(at) <= left
        && checksum(at, length(at)) == log.get(INT, at);
  }

  /** Whole, first, middle, last; compression, timestamp size, the log before. Recycled ones are never asked for. */
  private static boolean isKnownType(byte type) {
    return switch (type & 0xff) {
      case 1, 2, 3, 4, 9, 10, 130 -> true;
      default -> false;
    };
  }

  private int length(long at) {
    return log.get(ValueLayout.JAVA_BYTE, at + 4) & 0xff
        | (log.get(ValueLayout.JAVA_BYTE, at + 5) & 0xff) << 8;
  }

  private int checksum(long at, long payload) {
    CRC32C crc = new CRC32C();
    crc.update(log.asSlice(at + HEADER - 1, payload + 1).asByteBuffer());
    int value = (int) crc.getValue();
    return (value >>> 15 | value << 17) + MASK_DELTA;
  }

  private boolean isZero(long at, long bytes) {
    for (long i = at; i < at + bytes; i++) {
      if (log.get(ValueLayout.JAVA_BYTE, i) != 0) {
        return false;
      }
    }
    return true;
  }
}
