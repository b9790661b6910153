package io.kvcache.internal.frame;

import io.kvcache.ChunkKey;
import io.kvcache.KvHalf;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * The header part of a frame: what the bytes of the other parts are, and their checksums. It is written last and so
 * is the commit mark. {@code FORMAT.md} gives every byte; format version 1 has fields that this code only writes as
 * zero (kept positions, authentication).
 *
 * <p>A reader looks at the segment it was made of, which must stay valid.
 */
public final class FrameHeader {
  private static final int FINGERPRINT_AT = 64;
  private static final int ROOT_AT = 96;
  private static final int PREVIOUS_AT = 128;
  private static final int FIRST_TOKEN_AT = 160;
  private static final int TOKENS_AT = 168;
  private static final int CODEC_AT = 172;
  private static final int POSITIONS_MODE_AT = 174;
  private static final int AUTHENTICATION_AT = 175;
  private static final int PARAMETERS_AT = 176;
  private static final int LAYERS_AT = 180;
  private static final int GROUPS_AT = 184;
  private static final int RESERVED_AT = 188;
  private static final int CREATED_AT = 192;
  private static final int EXPIRY_AT = 200;
  private static final int PARENT_GENERATION_AT = 208;
  private static final int PARENT_HASH_AT = 216;
  private static final int NONCE_AT = 248;
  private static final int TAG_AT = 264;
  private static final int TABLES_AT = 296;
  private static final int GROUP_ENTRY_BYTES = 16;
  private static final int HALF_ENTRY_BYTES = 12;
  private static final int HASH_BYTES = 32;

  private final FramePlan plan;
  private final MemorySegment bytes;

  private FrameHeader(FramePlan plan, MemorySegment bytes) {
    this.plan = plan;
    this.bytes = bytes;
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
      long parentGeneration,
      byte[] parentHash) {
    /** A frame that was not made from another one, and does not expire. */
    public static Fields original(
        EntryId id, long generation, ChunkKey root, ChunkKey previous, int chunkIndex, int codec,
        int parameters,
        long createdMillis) {
      return new Fields(
          id, generation, root, previous, chunkIndex, codec, parameters, createdMillis, 0, 0,
          new byte[HASH_BYTES]);
    }
  }

  /** Bytes of the header part of a frame that keeps every token. */
  static int denseBytes(FramePlan plan) {
    return TABLES_AT + plan.groups() * GROUP_ENTRY_BYTES + plan.layers() * 2 * HALF_ENTRY_BYTES
        + Integer.BYTES;
  }

  /**
   * Writes a header part.
   *
   * @param partBytes length of each part, this one included
   * @param halves per layer, keys then values: offset in the part, stored length, CRC32C
   */
  static void write(
      FramePlan plan, MemorySegment target, Fields fields, long[] partBytes, int[] halves) {
    int length = denseBytes(plan);
    MemorySegment out = target.asSlice(0, length);
    out.fill((byte) 0);
    Preamble.write(out, fields.id(), fields.generation(), 0, length);
    MemorySegment.copy(plan.fingerprint(), 0, out, Wire.BYTE, FINGERPRINT_AT, HASH_BYTES);
    fields.root().write(out, ROOT_AT);
    fields.previous().write(out, PREVIOUS_AT);
    out.set(Wire.LONG, FIRST_TOKEN_AT, (long) fields.chunkIndex() * plan.layout().chunkTokens());
    out.set(Wire.INT, TOKENS_AT, plan.layout().chunkTokens());
    out.set(Wire.SHORT, CODEC_AT, (short) fields.codec());
    out.set(Wire.INT, PARAMETERS_AT, fields.parameters());
    out.set(Wire.INT, LAYERS_AT, plan.layers());
    out.set(Wire.INT, GROUPS_AT, plan.groups());
    out.set(Wire.LONG, CREATED_AT, fields.createdMillis());
    out.set(Wire.LONG, EXPIRY_AT, fields.expiryMillis());
    out.set(Wire.LONG, PARENT_GENERATION_AT, fields.parentGeneration());
    MemorySegment.copy(fields.parentHash(), 0, out, Wire.BYTE, PARENT_HASH_AT, HASH_BYTES);
    for (int group = 0; group < plan.groups(); group++) {
      long at = TABLES_AT + (long) group * GROUP_ENTRY_BYTES;
      out.set(Wire.INT, at, plan.firstLayer(group));
      out.set(Wire.INT, at + 4, plan.layersOf(group));
      out.set(Wire.LONG, at + 8, partBytes[1 + group]);
    }
    MemorySegment.copy(halves, 0, out, Wire.INT, halfTableAt(plan), halves.length);
    int crcAt = length - Integer.BYTES;
    out.set(Wire.INT, crcAt, Checksums.crc(out.asSlice(Preamble.BYTES, crcAt - Preamble.BYTES)));
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
    Preamble.require(length == denseBytes(plan), "header has %d bytes, expected %d", length,
        denseBytes(plan));
    MemorySegment bytes = part.asSlice(0, length);
    long crcAt = length - Integer.BYTES;
    int crc = Checksums.crc(bytes.asSlice(Preamble.BYTES, crcAt - Preamble.BYTES));
    Preamble.require(bytes.get(Wire.INT, crcAt) == crc, "header checksum is wrong, computed %08x", crc);
    FrameHeader header = new FrameHeader(plan, bytes);
    header.requireReadable();
    header.requireTables();
    return header;
  }

  private void requireReadable() throws MalformedDataException {
    byte[] fingerprint = new byte[HASH_BYTES];
    MemorySegment.copy(bytes, Wire.BYTE, FINGERPRINT_AT, fingerprint, 0, HASH_BYTES);
    Preamble.require(Arrays.equals(fingerprint, plan.fingerprint()), "frame has another layout");
    int tokens = bytes.get(Wire.INT, TOKENS_AT);
    Preamble.require(tokens == plan.layout().chunkTokens(), "frame has %d tokens, expected %d", tokens,
        plan.layout().chunkTokens());
    int positions = bytes.get(Wire.BYTE, POSITIONS_MODE_AT);
    Preamble.require(positions == 0, "kept positions of mode %d are not known", positions);
    int authentication = bytes.get(Wire.BYTE, AUTHENTICATION_AT);
    Preamble.require(authentication == 0, "authentication %d is not known", authentication);
    Preamble.require(bytes.get(Wire.INT, RESERVED_AT) == 0, "a reserved field is not zero");
    boolean unsigned = true;
    for (int at = NONCE_AT; at < TABLES_AT; at++) {
      unsigned &= bytes.get(Wire.BYTE, at) == 0;
    }
    Preamble.require(unsigned, "a nonce or tag without authentication, tag at %d", TAG_AT);
  }

  private void requireTables() throws MalformedDataException {
    int layers = bytes.get(Wire.INT, LAYERS_AT);
    int groups = bytes.get(Wire.INT, GROUPS_AT);
    Preamble.require(layers == plan.layers() && groups == plan.groups(),
        "frame has %d layers in %d groups, expected %d in %d", layers, groups, plan.layers(), plan.groups());
    for (int group = 0; group < groups; group++) {
      long at = TABLES_AT + (long) group * GROUP_ENTRY_BYTES;
      Preamble.require(
          bytes.get(Wire.INT, at) == plan.firstLayer(group)
              && bytes.get(Wire.INT, at + 4) == plan.layersOf(group),
          "group %d has other layers than expected", group);
    }
    for (int layer = 0; layer < layers; layer++) {
      for (KvHalf half : KvHalf.values()) {
        requireHalf(layer, half);
      }
    }
  }

  private void requireHalf(int layer, KvHalf half) throws MalformedDataException {
    long offset = offset(layer, half);
    long length = storedBytes(layer, half);
    boolean none = plan.layout().layer(layer).rowBytes(half) == 0;
    boolean fits = none
        ? length == 0
        : length > 0 && offset >= Preamble.BYTES && offset + length <= partBytes(plan.partOf(layer));
    Preamble.require(fits, "%s of layer %d lie at %d, %d bytes long, outside their part", half, layer, offset,
        length);
  }

  private static long halfTableAt(FramePlan plan) {
    return TABLES_AT + (long) plan.groups() * GROUP_ENTRY_BYTES;
  }

  private long halfAt(int layer, KvHalf half) {
    return halfTableAt(plan) + (layer * 2L + half.ordinal()) * HALF_ENTRY_BYTES;
  }

  /** The plan the frame follows. */
  public FramePlan plan() {
    return plan;
  }

  /** Number of the encoding. */
  public int codec() {
    return Short.toUnsignedInt(bytes.get(Wire.SHORT, CODEC_AT));
  }

  /** The encoding's parameters. */
  public int parameters() {
    return bytes.get(Wire.INT, PARAMETERS_AT);
  }

  /** When the chunk was encoded, in milliseconds since the epoch. */
  public long createdMillis() {
    return bytes.get(Wire.LONG, CREATED_AT);
  }

  /** When the chunk expires, in milliseconds since the epoch; 0 for never. */
  public long expiryMillis() {
    return bytes.get(Wire.LONG, EXPIRY_AT);
  }

  /** Generation of the full variant this one was made from; 0 for none. */
  public long parentGeneration() {
    return bytes.get(Wire.LONG, PARENT_GENERATION_AT);
  }

  /** What a lossy variant made from this frame names as its parent: SHA-256 of the header part. */
  public byte[] hash() {
    return FramePlan.sha256(bytes.toArray(Wire.BYTE));
  }

  /** Copies the header part, as it is. */
  public void copyTo(MemorySegment target) {
    MemorySegment.copy(bytes, 0, target, 0, bytes.byteSize());
  }

  /** Hash of the full variant this one was made from; zeros for none. */
  public byte[] parentHash() {
    return bytes.asSlice(PARENT_HASH_AT, HASH_BYTES).toArray(Wire.BYTE);
  }

  /** Length of part {@code part}. */
  public long partBytes(int part) {
    return part == 0
        ? bytes.byteSize()
        : bytes.get(Wire.LONG, TABLES_AT + (part - 1L) * GROUP_ENTRY_BYTES + 8);
  }

  long offset(int layer, KvHalf half) {
    return Integer.toUnsignedLong(bytes.get(Wire.INT, halfAt(layer, half)));
  }

  long storedBytes(int layer, KvHalf half) {
    return Integer.toUnsignedLong(bytes.get(Wire.INT, halfAt(layer, half) + 4));
  }

  int crc(int layer, KvHalf half) {
    return bytes.get(Wire.INT, halfAt(layer, half) + 8);
  }
}
