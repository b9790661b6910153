package io.kvcache.internal.frame;

import io.kvcache.ChunkKey;
import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.KvHalf;
import io.kvcache.internal.prune.Kept;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Set;

/**
 * The header part of a frame: what the bytes of the other parts are, and their checksums. It is written last and so
 * is the commit mark. {@code FORMAT.md} gives every byte. Format version 1 has what this code neither writes nor reads:
 * authentication; a frame that uses it is a miss.
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
  private static final int DROP_METHOD_AT = 210;
  private static final int RETAINED_AT = 211;
  private static final int KEY_NUMBER_AT = 212;
  private static final int SCORED_AT = 232;
  private static final int SCORED_END = 236;
  private static final int SCORES_BYTES_AT = 240;
  private static final int SCORES_CRC_AT = 248;
  private static final int SCORES_END = 252;
  private static final int TABLES_AT = 256;
  private static final int EVERY_TOKEN = 0;
  private static final int UNIFORM = 1;
  private static final int BY_HEAD = 2;
  private static final int GROUP_ENTRY_BYTES = 16;
  private static final int CRC_BYTES = 4;
  private static final int HASH_BYTES = 32;

  private final FramePlan plan;
  private final MemorySegment bytes;
  private final Encoding encoding;
  private final Kept kept;
  private final Set<DropMethod> scored;
  private final HalfTable halves;
  private final long[] offsets;

  private FrameHeader(FramePlan plan, MemorySegment bytes, Encoding encoding, Kept kept,
      Set<DropMethod> scored) {
    this.plan = plan;
    this.bytes = bytes;
    this.encoding = encoding;
    this.kept = kept;
    this.scored = scored;
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
      Encoding encoding,
      int parameters,
      long createdMillis,
      long expiryMillis,
      long parentGeneration) {
    /** A frame that was not made from another one; {@code expiryMillis} 0 for one that does not expire. */
    public static Fields original(
        EntryId id, long generation, ChunkKey root, ChunkKey previous, int chunkIndex, Encoding encoding,
        int parameters, long createdMillis, long expiryMillis) {
      return new Fields(
          id, generation, root, previous, chunkIndex, encoding, parameters, createdMillis, expiryMillis, 0);
    }
  }

  private static long halfTableAt(FramePlan plan) {
    return TABLES_AT + (long) plan.groups() * GROUP_ENTRY_BYTES;
  }

  private static long positionsAt(FramePlan plan) {
    return halfTableAt(plan) + HalfTable.bytes(plan);
  }

  /** Bytes of the header part of a frame that keeps these tokens; null for every token. */
  static long bytes(FramePlan plan, Kept kept) {
    return bytes(plan, kept == null ? 0 : Kept.encodedBytes(plan.layout(), kept.uniform()));
  }

  private static long bytes(FramePlan plan, long positionsBytes) {
    return positionsAt(plan) + positionsBytes + CRC_BYTES;
  }

  /**
   * Writes a header part.
   *
   * @param partBytes length of each part, this one included
   * @param kept what is kept; null for every token
   * @param scores what the last part holds; null where there is none
   */
  static void write(FramePlan plan, MemorySegment target, Fields fields, long[] partBytes, HalfTable halves,
      Kept kept, ChunkScores scores) {
    MemorySegment out = target.asSlice(0, partBytes[0]).fill((byte) 0);
    Preamble.write(out, fields.id(), fields.generation(), fields.encoding().codec(), 0, partBytes[0]);
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
    writeKept(plan, out, fields.encoding(), kept);
    if (scores != null) {
      out.set(Wire.INT, SCORED_AT, ChunkScores.mask(scores.methods()));
      out.set(Wire.LONG, SCORES_BYTES_AT, partBytes[plan.parts()]);
      out.set(Wire.INT, SCORES_CRC_AT, Checksums.crc(scores.payload()));
    }
    out.set(Wire.INT, crcAt(out), crc(out));
  }

  private static void writeKept(FramePlan plan, MemorySegment out, Encoding encoding, Kept kept) {
    out.set(Wire.BYTE, POSITIONS_MODE_AT,
        (byte) (kept == null ? EVERY_TOKEN : kept.uniform() ? UNIFORM : BY_HEAD));
    out.set(Wire.BYTE, DROP_METHOD_AT, (byte) encoding.dropping().number());
    out.set(Wire.BYTE, RETAINED_AT, (byte) encoding.retainedPercent());
    if (kept != null) {
      kept.writeTo(out, positionsAt(plan));
    }
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
    Encoding encoding = encoding(bytes);
    Set<DropMethod> scored = scored(bytes, encoding);
    requireLayout(plan, bytes);
    requireScoresBytes(plan, bytes, scored);
    boolean uniform = encoding.uniform();
    long expected =
        bytes(plan, encoding.dropsTokens() ? Kept.encodedBytes(plan.layout(), uniform) : 0);
    Preamble.require(length == expected, "header has %d bytes, expected %d", length, expected);
    Kept kept =
        encoding.dropsTokens() ? Kept.read(plan.layout(), uniform, bytes, positionsAt(plan)) : null;
    FrameHeader header = new FrameHeader(plan, bytes, encoding, kept, scored);
    header.requireTables();
    return header;
  }

  /** The encoding, when everything that is to go with it does. */
  private static Encoding encoding(MemorySegment bytes) throws MalformedDataException {
    int positions = unsigned(bytes, POSITIONS_MODE_AT);
    Preamble.require(positions <= BY_HEAD, "kept positions of mode %d are not known", positions);
    int authentication = unsigned(bytes, AUTHENTICATION_AT);
    Preamble.require(authentication == 0, "authentication %d is not known", authentication);
    Encoding encoding = Codecs.encoding(Preamble.codec(bytes), unsigned(bytes, DROP_METHOD_AT),
        unsigned(bytes, RETAINED_AT), positions == UNIFORM);
    Preamble.require(encoding.dropsTokens() == (positions != EVERY_TOKEN), "%s has kept positions of mode %d",
        encoding, positions);
    requireZeros(bytes, KEY_NUMBER_AT, SCORED_AT);
    return encoding;
  }

  private static int unsigned(MemorySegment bytes, long at) {
    return Byte.toUnsignedInt(bytes.get(Wire.BYTE, at));
  }

  private static void requireZeros(MemorySegment bytes, int from, int to) throws MalformedDataException {
    for (int at = from; at < to; at++) {
      Preamble.require(bytes.get(Wire.BYTE, at) == 0, "byte %d of the header is not zero", at);
    }
  }

  /** The methods there are scores for. */
  private static Set<DropMethod> scored(MemorySegment bytes, Encoding encoding)
      throws MalformedDataException {
    Set<DropMethod> scored = ChunkScores.methods(bytes.get(Wire.INT, SCORED_AT));
    Preamble.require(scored.isEmpty() || !encoding.dropsTokens(), "%s has scores", encoding);
    requireZeros(bytes, SCORED_END, SCORES_BYTES_AT);
    requireZeros(bytes, SCORES_END, TABLES_AT);
    if (scored.isEmpty()) {
      requireZeros(bytes, SCORES_BYTES_AT, SCORES_END);
    }
    return scored;
  }

  private static void requireScoresBytes(FramePlan plan, MemorySegment bytes, Set<DropMethod> scored)
      throws MalformedDataException {
    long length = bytes.get(Wire.LONG, SCORES_BYTES_AT);
    Preamble.require(scored.isEmpty() || length == plan.scoresPartBytes(scored),
        "scores part has %d bytes, expected %d", length, plan.scoresPartBytes(scored));
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
      halves.requireDense(plan, kept, group, partBytes(1 + group), offsets);
    }
  }

  /** The plan the frame follows. */
  public FramePlan plan() {
    return plan;
  }

  /** How the chunk is encoded. */
  public Encoding encoding() {
    return encoding;
  }

  /** The tokens that are kept; null for every token. */
  public Kept kept() {
    return kept;
  }

  /** Rows that are stored of each half of a layer. */
  public int rows(int layer) {
    return kept == null ? plan.layout().chunkTokens() : kept.count(layer);
  }

  /** The methods that the frame carries scores for. */
  public Set<DropMethod> scored() {
    return scored;
  }

  /** The codec's parameters. */
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

  /** Parts of the frame: the header, the groups, and the scores where it has some. */
  public int parts() {
    return plan.parts() + (scored.isEmpty() ? 0 : 1);
  }

  /** Length of part {@code part}. */
  public long partBytes(int part) {
    if (part == 0) {
      return bytes.byteSize();
    }
    return bytes.get(Wire.LONG,
        part == plan.parts() ? SCORES_BYTES_AT : TABLES_AT + (part - 1L) * GROUP_ENTRY_BYTES + 8);
  }

  int scoresCrc() {
    return bytes.get(Wire.INT, SCORES_CRC_AT);
  }

  HalfTable halves() {
    return halves;
  }

  /** Where in its part a half starts. */
  long offset(int layer, KvHalf half) {
    return offsets[HalfTable.index(layer, half)];
  }
}
