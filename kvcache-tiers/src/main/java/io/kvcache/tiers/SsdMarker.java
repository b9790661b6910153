package io.kvcache.tiers;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Set;
import java.util.zip.CRC32C;

/**
 * The file by which a directory is known to be ours, and in which format. Two copies, so that one damaged sector
 * does not make a store unusable. Its bytes are laid down in {@code FORMAT.md}.
 */
final class SsdMarker {
  static final String FILE = "kvcache-ssd";
  static final int FORMAT_VERSION = 1;

  private static final String TEMPORARY = "kvcache-ssd.tmp";
  private static final byte[] MAGIC = "KVCACHE-SSD\n".getBytes(StandardCharsets.US_ASCII);
  private static final int COPY_BYTES = 64;
  private static final int SECOND_COPY = Pages.BYTES;
  private static final int CHECKSUM = COPY_BYTES - Integer.BYTES;

  /** What a crash can leave of a directory whose marker was not there yet. */
  private static final Set<String> BEFORE_MARKER = Set.of(DirectoryLock.FILE, TEMPORARY, "lost+found");

  private SsdMarker() {}

  /** Checks the marker of a directory, and creates it in an empty one. */
  static void ensure(Path directory) throws IOException {
    Path marker = directory.resolve(FILE);
    if (Files.exists(marker)) {
      check(marker);
    } else {
      requireEmpty(directory);
      create(directory, marker);
    }
  }

  private static void requireEmpty(Path directory) throws IOException {
    try (DirectoryStream<Path> files = Files.newDirectoryStream(directory)) {
      for (Path file : files) {
        if (!BEFORE_MARKER.contains(file.getFileName().toString())) {
          throw new IOException(
              directory + " is not a tier's: it holds " + file.getFileName() + " but no " + FILE);
        }
      }
    }
  }

  private static void create(Path directory, Path marker) throws IOException {
    ByteBuffer bytes = ByteBuffer.allocate(SECOND_COPY + COPY_BYTES).order(ByteOrder.LITTLE_ENDIAN);
    for (int copy : new int[] {0, SECOND_COPY}) {
      bytes.put(copy, MAGIC).putInt(copy + MAGIC.length, FORMAT_VERSION);
      bytes.putInt(copy + MAGIC.length + 4, Pages.BYTES);
      bytes.putInt(copy + CHECKSUM, checksum(bytes, copy));
    }
    Path temporary = directory.resolve(TEMPORARY);
    Files.deleteIfExists(temporary);
    OwnerOnly.createFile(temporary);
    try (FileChannel channel = FileChannel.open(temporary, StandardOpenOption.WRITE)) {
      while (bytes.hasRemaining()) {
        channel.write(bytes);
      }
      channel.force(true);
    }
    Files.move(temporary, marker, StandardCopyOption.ATOMIC_MOVE);
    ExtentFiles.syncDirectory(directory);
  }

  private static void check(Path marker) throws IOException {
    if (Files.size(marker) > 2 * SECOND_COPY) {
      throw new IOException(marker + " has " + Files.size(marker) + " bytes and is no marker of a tier");
    }
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(marker)).order(ByteOrder.LITTLE_ENDIAN);
    for (int copy : new int[] {0, SECOND_COPY}) {
      if (isSound(bytes, copy)) {
        int version = bytes.getInt(copy + MAGIC.length);
        int pageBytes = bytes.getInt(copy + MAGIC.length + 4);
        if (version != FORMAT_VERSION || pageBytes != Pages.BYTES) {
          throw new IOException(marker + " says format version " + version + " with pages of " + pageBytes
              + " bytes; this library reads version " + FORMAT_VERSION + " with " + Pages.BYTES);
        }
        return;
      }
    }
    throw new IOException(marker + " is damaged; if the directory is a tier's, delete it to start empty");
  }

  private static boolean isSound(ByteBuffer bytes, int copy) {
    return bytes.limit() >= copy + COPY_BYTES
        && bytes.slice(copy, MAGIC.length).equals(ByteBuffer.wrap(MAGIC))
        && bytes.getInt(copy + CHECKSUM) == checksum(bytes, copy);
  }

  private static int checksum(ByteBuffer bytes, int copy) {
    CRC32C crc = new CRC32C();
    crc.update(bytes.slice(copy, CHECKSUM));
    return (int) crc.getValue();
  }
}
