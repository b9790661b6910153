package io.kvcache.tiers;

import io.kvcache.ChunkKey;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.MalformedDataException;
import io.kvcache.spi.Tier;
import io.kvcache.spi.VariantClass;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.zip.CRC32C;

/**
 * What the index says about one entry. The record's bytes are laid down in {@code FORMAT.md}.
 *
 * @param sequence number that no other entry of this store has or had; names its small parts
 * @param parts where each part is, in order
 * @param note the caller's note
 */
record SsdEntry(long sequence, List<Part> parts, byte[] note) {
  /** Parts claimed with fewer bytes than this lie in the index. */
  static final int SMALL_PART_BYTES = 64 << 10;

  /** Bytes of an encoded {@link EntryId}. */
  static final int KEY_BYTES = ChunkKey.BYTES + 1;

  private static final int VERSION = 1;
  private static final int HEADER_BYTES = 24;
  private static final int PART_BYTES = 12;
  private static final int EXTENT_BYTES = 12;

  /** What RocksDB adds to a key and value: sequence number, lengths, its share of index and filter blocks. */
  private static final int ROW_BYTES = 40;

  /**
   * One part.
   *
   * @param bytes its length, at least 1
   * @param extents the pages that hold it, in order; none for a part that lies in the index
   */
  record Part(long bytes, List<Extent> extents) {
    boolean small() {
      return extents.isEmpty();
    }

    /** Pages of its extents. */
    long pages() {
      return small() ? 0 : Pages.holding(bytes);
    }
  }

  /** The key of an entry in the index. */
  static byte[] key(EntryId id) {
    byte[] key = new byte[KEY_BYTES];
    ByteBuffer out = ByteBuffer.wrap(key);
    out.put(id.key().bytes()).put((byte) switch (id.variantClass()) {
      case FULL -> 0;
      case SERVING -> 1;
    });
    return key;
  }

  /** The entry that a key of the index stands for. */
  static EntryId id(byte[] key) throws MalformedDataException {
    if (key.length != KEY_BYTES || key[ChunkKey.BYTES] < 0 || key[ChunkKey.BYTES] > 1) {
      throw new MalformedDataException("index key of " + key.length + " bytes is none of an entry");
    }
    byte[] chunk = Arrays.copyOf(key, ChunkKey.BYTES);
    return new EntryId(ChunkKey.of(chunk),
        key[ChunkKey.BYTES] == 0 ? VariantClass.FULL : VariantClass.SERVING);
  }

  /** All extents, in order. */
  List<Extent> extents() {
    List<Extent> all = new ArrayList<>();
    parts.forEach(part -> all.addAll(part.extents));
    return all;
  }

  /** Pages of all extents. */
  long pages() {
    long pages = 0;
    for (Part part : parts) {
      pages += part.pages();
    }
    return pages;
  }

  /** The same entry with another note. */
  SsdEntry withNote(byte[] newNote) {
    return new SsdEntry(sequence, parts, newNote);
  }

  /** Bytes of the cap charged to the index for this entry. */
  long indexBytes() {
    return indexBytes(parts);
  }

  /** As {@link #indexBytes()}, of an entry with these parts. */
  static long indexBytes(List<Part> parts) {
    long pages = 0;
    long smallBytes = 0;
    int smallParts = 0;
    for (Part part : parts) {
      if (part.small()) {
        smallBytes += part.bytes;
        smallParts++;
      }
      pages += part.pages();
    }
    return indexBytes(parts.size(), smallParts, smallBytes, pages);
  }

  /**
   * Bytes of the cap charged to the index for an entry. The longest note and an extent for every page are assumed,
   * so that neither a new note nor scattered free space can change it; a quarter is added for what RocksDB has not
   * compacted yet.
   */
  static long indexBytes(int parts, int smallParts, long smallBytes, long pages) {
    long record = KEY_BYTES + HEADER_BYTES + (long) PART_BYTES * parts + Tier.MAX_NOTE_BYTES + ROW_BYTES;
    long rows = record + smallBytes + (long) (PART_KEY_BYTES + ROW_BYTES) * smallParts;
    return rows + rows / 4 + pages * (EXTENT_BYTES + EXTENT_BYTES / 4);
  }

  /** Bytes of a small part's key. */
  static final int PART_KEY_BYTES = 12;

  /** The record's bytes, sealed with a checksum that covers {@code key} as well. */
  byte[] encode(byte[] key) {
    List<Extent> extents = extents();
    int bytes = HEADER_BYTES + PART_BYTES * parts.size() + EXTENT_BYTES * extents.size() + note.length;
    ByteBuffer out = ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
    out.putInt(0).putShort((short) VERSION).putShort((short) note.length);
    out.putInt(parts.size()).putInt(extents.size()).putLong(sequence);
    for (Part part : parts) {
      out.putLong(part.bytes).putInt(part.extents.size());
    }
    for (Extent extent : extents) {
      out.putInt(extent.file()).putInt(extent.firstPage()).putInt(extent.pages());
    }
    out.put(note);
    return out.putInt(0, checksum(key, out.array())).array();
  }

  /** Reads a record back; every length is checked before it is used. */
  static SsdEntry decode(byte[] key, byte[] record) throws MalformedDataException {
    require(record.length >= HEADER_BYTES, "record of " + record.length + " bytes, at least " + HEADER_BYTES);
    ByteBuffer in = ByteBuffer.wrap(record).order(ByteOrder.LITTLE_ENDIAN);
    require(in.getInt() == checksum(key, record), "checksum of an index record does not match");
    int version = in.getShort();
    require(version == VERSION, "record version is " + version + ", must be " + VERSION);
    int noteBytes = in.getShort();
    int partCount = in.getInt();
    int extentCount = in.getInt();
    long sequence = in.getLong();
    long expected =
        HEADER_BYTES + (long) PART_BYTES * partCount + (long) EXTENT_BYTES * extentCount + noteBytes;
    require(partCount > 0 && extentCount >= 0 && noteBytes >= 0 && noteBytes <= Tier.MAX_NOTE_BYTES
        && expected == record.length,
        "record of " + record.length + " bytes with " + partCount + " parts, "
            + extentCount + " extents and a note of " + noteBytes);
    ByteBuffer extents = in.slice(HEADER_BYTES + PART_BYTES * partCount, EXTENT_BYTES * extentCount)
        .order(ByteOrder.LITTLE_ENDIAN);
    List<Part> parts = new ArrayList<>(partCount);
    for (int i = 0; i < partCount; i++) {
      parts.add(decodePart(in.getLong(), in.getInt(), extents));
    }
    require(!extents.hasRemaining(), "extents that no part has");
    byte[] note = Arrays.copyOfRange(record, record.length - noteBytes, record.length);
    return new SsdEntry(sequence, List.copyOf(parts), note);
  }

  private static Part decodePart(long bytes, int extentCount, ByteBuffer in) throws MalformedDataException {
    require(bytes > 0 && extentCount >= 0 && extentCount <= in.remaining() / EXTENT_BYTES
        && (extentCount > 0 || bytes < SMALL_PART_BYTES),
        "part of " + bytes + " bytes, " + extentCount + " extents");
    List<Extent> extents = new ArrayList<>(extentCount);
    long pages = 0;
    for (int i = 0; i < extentCount; i++) {
      Extent extent = new Extent(in.getInt(), in.getInt(), in.getInt());
      require(extent.file() >= 0 && extent.firstPage() >= 0 && extent.pages() > 0, "impossible " + extent);
      extents.add(extent);
      pages += extent.pages();
    }
    require(extentCount == 0 || pages == Pages.holding(bytes),
        "part of " + bytes + " bytes in " + pages + " pages");
    return new Part(bytes, List.copyOf(extents));
  }

  private static int checksum(byte[] key, byte[] record) {
    CRC32C crc = new CRC32C();
    crc.update(key);
    crc.update(record, Integer.BYTES, record.length - Integer.BYTES);
    return (int) crc.getValue();
  }

  private static void require(boolean holds, String message) throws MalformedDataException {
    if (!holds) {
      throw new MalformedDataException(message);
    }
  }
}
