package io.kvcache.internal.frame;

import io.kvcache.ChunkKey;
import io.kvcache.KvHalf;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * The header part of a frame: what the bytes of the other parts are, and their checksums. It is written last and so
 * is the commit mark. {@code FORMAT.md} gives every byte. Format version 1 has fields that this code writes as zero
 * and reads as nothing else: kept positions and authentication; a frame that uses them is a miss.
 *
 * <p>A reader looks at the segment it was made of, which must stay valid.
 */
public final class FrameHeader {
  private static final int FINGERPRINT_AT = 64;
  private static final int ROOT_AT = 96;
  private static final int PREVIOUS_AT = 128;
  private static final int FIRST_TOKEN_AT = 160;
  private static final int TOKENS_AT = 168;
  private static final int PARAMETERS_AT = 172;
  private static final int LAYERS_AT = 176;
  private static final int GROUPS_AT = 180;
  private static final int CREATED_AT = 184;
  private static final int EXPIRY_AT = 192;
  private static final int PARENT_GENERATION_AT = 200;
  private static final int POSITIONS_MODE_AT = 208;
  private static final int AUTHENTICATION_AT = 209;
  private static final int ZEROS_AT = 210;
  private static final int TABLES_AT = 256;
  private static final int GROUP_ENTRY_BYTES = 16;
  private static final int CRC_BYTES = 4;
  private static final int HASH_BYTES = 32;

  private final FramePlan plan;
  private final MemorySegment bytes;
  private final HalfTable halves;
  private final long[] offsets;

  private FrameHeader(FramePlan plan, MemorySegment bytes) {
    this.plan = plan;
    this.bytes = bytes;
    this.halves = new HalfTable(bytes.asSlice(halfTableAt(plan), HalfTable.bytes(plan)));
    this.offsets = new long[plan.layers() * 2];
  }

  /** What a frame says about its chunk, besides the tables. */
  public record Fields(
      EntryId id,
      long generation,
      ChunkKey root,
      ChunkKey previous,
      int chunkIndex,
      int codec,
      int parameters,
      long createdMillis,
      long expiryMillis,
      long parentGeneration) {
    /** A frame that was not made from another one, and does not expire. */
    public static Fields original(
        EntryId id, long generation, ChunkKey root, ChunkKey previous, int chunkIndex, int codec,
        int parameters,
        long createdMillis) {
      return new Fields(
          id, generation, root, previous, chunkIndex, codec, parameters, createdMillis, 0, 0);
    }
  }

  private static long halfTableAt(FramePlan plan) {
    return TABLES_AT + (long) plan.groups() * GROUP_ENTRY_BYTES;
  }

  /** Bytes of the header part of a frame that keeps every token and is not authenticated. */
  static long denseBytes(FramePlan plan) {
    return halfTableAt(plan) + HalfTable.bytes(plan) + CRC_BYTES;
  }

  /**
   * Writes a header part.
   *
   * @param partBytes length of each part, this one included
   */
  static void write(
      FramePlan plan, MemorySegment target, Fields fields, long[] partBytes, HalfTable halves) {
    MemorySegment out = target.asSlice(0, partBytes[0]).fill((byte) 0);
    Preamble.write(out, fields.id(), fields.generation(), fields.codec(), 0, partBytes[0]);
    MemorySegment.copy(plan.fingerprint(), 0, out, Wire.BYTE, FINGERPRINT_AT, HASH_BYTES);
    fields.root().write(out, ROOT_AT);
    fields.previous().write(out, PREVIOUS_AT);
    out.set(Wire.LONG, FIRST_TOKEN_AT, (long) fields.chunkIndex() * plan.layout().chunkTokens());
    out.set(Wire.INT, TOKENS_AT, plan.layout().chunkTokens());
    out.set(Wire.INT, PARAMETERS_AT, fields.parameters());
    out.set(Wire.INT, LAYERS_AT, plan.layers());
    out.set(Wire.INT, GROUPS_AT, plan.groups());
    out.set(Wire.LONG, CREATED_AT, fields.createdMillis());
    out.set(Wire.LONG, EXPIRY_AT, fields.expiryMillis());
    out.set(Wire.LONG, PARENT_GENERATION_AT, fields.parentGeneration());
    for (int group = 0; group < plan.groups(); group++) {
      long at = TABLES_AT + (long) group * GROUP_ENTRY_BYTES;
      out.set(Wire.INT, at, plan.firstLayer(group));
      out.set(Wire.INT, at + 4, plan.layersOf(group));
      out.set(Wire.LONG, at + 8, partBytes[1 + group]);
    }
    halves.copyTo(out.asSlice(halfTableAt(plan)));
    out.set(Wire.INT, crcAt(out), crc(out));
  }

  private static long crcAt(MemorySegment header) {
    return header.byteSize() - CRC_BYTES;
  }

  private static int crc(MemorySegment header) {
    return Checksums.crc(header.asSlice(Preamble.BYTES, crcAt(header) - Preamble.BYTES));
  }

  /**
   * Reads and verifies a header part.
   *
   * @param part at least the part; what follows it is ignored
   * @throws MalformedDataException when it is not the header of just this generation of this entry
   */
  public static FrameHeader read(FramePlan plan, MemorySegment part, EntryId id, long generation)
      throws MalformedDataException {
    long length = Preamble.verify(part, id, generation, 0);
    Preamble.require(length >= TABLES_AT + CRC_BYTES, "header has %d bytes, its fields need %d", length,
        TABLES_AT + CRC_BYTES);
    MemorySegment bytes = part.asSlice(0, length);
    int crc = crc(bytes);
    Preamble.require(bytes.get(Wire.INT, crcAt(bytes)) == crc, "header checksum is wrong, computed %08x",
        crc);
    requireReadable(bytes);
    requireLayout(plan, bytes);
    Preamble.require(length == denseBytes(plan), "header has %d bytes, expected %d", length,
        denseBytes(plan));
    FrameHeader header = new FrameHeader(plan, bytes);
    header.requireTables();
    return header;
  }

  private static void requireReadable(MemorySegment bytes) throws MalformedDataException {
    int positions = Byte.toUnsignedInt(bytes.get(Wire.BYTE, POSITIONS_MODE_AT));
    Preamble.require(positions == 0, "kept positions of mode %d are not known", positions);
    int authentication = Byte.toUnsignedInt(bytes.get(Wire.BYTE, AUTHENTICATION_AT));
    Preamble.require(authentication == 0, "authentication %d is not known", authentication);
    for (int at = ZEROS_AT; at < TABLES_AT; at++) {
      Preamble.require(bytes.get(Wire.BYTE, at) == 0, "byte %d of the header is not zero", at);
    }
  }

  private static void requireLayout(FramePlan plan, MemorySegment bytes) throws MalformedDataException {
    byte[] fingerprint = bytes.asSlice(FINGERPRINT_AT, HASH_BYTES).toArray(Wire.BYTE);
    Preamble.require(Arrays.equals(fingerprint, plan.fingerprint()), "frame has another layout");
    long first = bytes.get(Wire.LONG, FIRST_TOKEN_AT);
    int tokens = bytes.get(Wire.INT, TOKENS_AT);
    Preamble.require(tokens == plan.layout().chunkTokens() && first >= 0 && first % tokens == 0,
        "frame has %d tokens from %d, expected %d", tokens, first, plan.layout().chunkTokens());
    int layers = bytes.get(Wire.INT, LAYERS_AT);
    int groups = bytes.get(Wire.INT, GROUPS_AT);
    Preamble.require(layers == plan.layers() && groups == plan.groups(),
        "frame has %d layers in %d groups, expected %d in %d", layers, groups, plan.layers(), plan.groups());
  }

  private void requireTables() throws MalformedDataException {
    for (int group = 0; group < plan.groups(); group++) {
      long at = TABLES_AT + (long) group * GROUP_ENTRY_BYTES;
      Preamble.require(
          bytes.get(Wire.INT, at) == plan.firstLayer(group)
              && bytes.get(Wire.INT, at + 4) == plan.layersOf(group),
          "group %d has other layers than expected", group);
      halves.requireDense(plan, group, partBytes(1 + group), offsets);
    }
  }

  /** The plan the frame follows. */
  public FramePlan plan() {
    return plan;
  }

  /** Number of the encoding. */
  public int codec() {
    return Preamble.codec(bytes);
  }

  /** The encoding's parameters. */
  public int parameters() {
    return bytes.get(Wire.INT, PARAMETERS_AT);
  }

  /** When the chunk expires, in milliseconds since the epoch; 0 for never. */
  public long expiryMillis() {
    return bytes.get(Wire.LONG, EXPIRY_AT);
  }

  /** Generation of the full frame this one was made from; 0 for none. */
  public long parentGeneration() {
    return bytes.get(Wire.LONG, PARENT_GENERATION_AT);
  }

  /** Copies the header part, as it is. */
  public void copyTo(MemorySegment target) {
    MemorySegment.copy(bytes, 0, target, 0, bytes.byteSize());
  }

  /** Length of part {@code part}. */
  public long partBytes(int part) {
    return part == 0
        ? bytes.byteSize()
        : bytes.get(Wire.LONG, TABLES_AT + (part - 1L) * GROUP_ENTRY_BYTES + 8);
  }

  HalfTable halves() {
    return halves;
  }

  /** Where in its part a half starts. */
  long offset(int layer, KvHalf half) {
    return offsets[HalfTable.index(layer, half)];
  }
}
