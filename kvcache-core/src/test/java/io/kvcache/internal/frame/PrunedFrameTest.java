package io.kvcache.internal.frame;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.Encoding;
import io.kvcache.Fidelity;
import io.kvcache.KvHalf;
import io.kvcache.KvLayout;
import io.kvcache.KvShape;
import io.kvcache.LayerSpec;
import io.kvcache.internal.prune.Gather;
import io.kvcache.internal.prune.Kept;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.MalformedDataException;
import io.kvcache.spi.VariantClass;
import io.kvcache.testkit.TrailingZerosCompressor;
import io.kvcache.testkit.TruncatingCompressor;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** Frames that keep some of the tokens: what comes back, and what is refused. */
class PrunedFrameTest {
  private static final KvLayout LAYOUT = Frames.PRUNED_LAYOUT;
  private static final int METHOD_AT = 210;
  private static final int RETAINED_AT = 211;
  private static final int HALF_TABLE_AT = 272;
  private static final int POSITIONS_AT = 368;
  private static final TrimCodec LOSSY = new TrimCodec(201, new Fidelity.Quantized(4));

  private final FramePlan plan = Frames.plan(LAYOUT);
  private final Codecs codecs = new Codecs(List.of(TrimCodec.EXACT, LOSSY), LAYOUT);
  private final byte[] header = Frames.pruned().get(0);
  private final byte[] group = Frames.pruned().get(1);

  private FrameReader open(Codecs known, byte[] headerRead) throws MalformedDataException {
    return Frames.open(plan, known, headerRead, Frames.prunedId(), Frames.EXAMPLE_GENERATION);
  }

  /** The rows that are stored of each half; fails unless each part also passes as a whole. */
  private static List<byte[]> rows(FrameReader reader, byte[] part) throws MalformedDataException {
    MemorySegment bytes = MemorySegment.ofArray(part);
    assertEquals(reader.header().partBytes(1), reader.verifyPart(bytes, 1));
    List<byte[]> rows = new ArrayList<>();
    for (int layer = 0; layer < LAYOUT.layers().size(); layer++) {
      for (KvHalf half : KvHalf.values()) {
        byte[] target = new byte[reader.header().rows(layer) * LAYOUT.layer(layer).rowBytes(half)];
        reader.layer(bytes, layer).decodeKept(half, MemorySegment.ofArray(target));
        rows.add(target);
      }
    }
    return rows;
  }

  /** What is kept of dense halves, then made of it by the codec and back. */
  private static List<byte[]> expected(Compressor codec, List<byte[]> halves, Kept kept) throws Exception {
    List<byte[]> all = new ArrayList<>();
    for (int index = 0; index < halves.size(); index++) {
      KvHalf half = KvHalf.values()[index % 2];
      LayerSpec spec = LAYOUT.layer(index / 2);
      byte[] rows = new byte[kept.count(index / 2) * spec.rowBytes(half)];
      MemorySegment out = MemorySegment.ofArray(rows);
      if (rows.length > 0) {
        Gather.rows(spec, half, MemorySegment.ofArray(halves.get(index)), kept, index / 2, out);
        KvShape shape = spec.shape(half, kept.count(index / 2));
        MemorySegment stored = MemorySegment.ofArray(new byte[(int) codec.maxStoredBytes(shape)]);
        long length = codec.compress(shape, out, stored);
        codec.decompress(shape, codec.parameters(), stored.asSlice(0, length), out);
      }
      all.add(rows);
    }
    return all;
  }

  /** So many tokens of each head, which ones by chance. */
  private static Kept random(SplittableRandom random, int... counts) {
    long[][][] bitmaps = new long[counts.length][][];
    for (int layer = 0; layer < counts.length; layer++) {
      bitmaps[layer] = new long[LAYOUT.layer(layer).kvHeads()][1];
      for (long[] bitmap : bitmaps[layer]) {
        while (Long.bitCount(bitmap[0]) < counts[layer]) {
          bitmap[0] |= 1L << random.nextInt(16);
        }
      }
    }
    return Kept.of(LAYOUT, bitmaps);
  }

  private List<byte[]> write(Compressor codec, Kept kept, Frames.Filling filling) {
    Encoding encoding = Encoding.of(codec.codec()).keeping(Frames.PRUNED.dropping(), 25);
    return Frames.write(Frames.prunedFields(encoding, codec.parameters()), plan.maxPartBytes(codec, kept),
        claimed -> new FrameWriter(plan, codec, claimed, kept), filling);
  }

  private static void requireEqual(List<byte[]> expected, List<byte[]> actual, String at) {
    assertEquals(expected.size(), actual.size(), at);
    for (int index = 0; index < expected.size(); index++) {
      assertArrayEquals(expected.get(index), actual.get(index), at + ", half " + index);
    }
  }

  /** Goal: just the kept rows come back, however encoded. Method: none, one, some, all tokens, in seeded places. */
  @Test
  void keptRowsComeBack() throws Exception {
    List<Compressor> all = List.of(new RawCodec(), TrimCodec.EXACT, new TrailingZerosCompressor(),
        new TruncatingCompressor());
    Codecs known = new Codecs(all.subList(1, 4), LAYOUT);
    long seed = Long.getLong("test.seed", 20261125);
    SplittableRandom random = new SplittableRandom(seed);
    int[][] counts = {{0, 0, 0}, {1, 1, 1}, {16, 16, 16}, {3, 1, 0}, {0, 16, 5}, {16, 0, 15}};
    for (Compressor codec : all) {
      for (int[] each : counts) {
        String at = "seed=" + seed + " " + codec.name() + " " + Arrays.toString(each);
        Kept kept = random(random, each);
        List<byte[]> halves = Frames.randomHalves(LAYOUT, random.nextLong());
        List<byte[]> parts = write(codec, kept, Frames.inOrder(halves));
        FrameReader reader = open(known, parts.get(0));
        assertEquals(kept, reader.kept(), at);
        assertEquals(Encoding.of(codec.codec()).keeping(Frames.PRUNED.dropping(), 25),
            reader.header().encoding());
        assertEquals(each[0], reader.header().rows(0), at);
        requireEqual(expected(codec, halves, kept), rows(reader, parts.get(1)), at);
      }
    }
  }

  @Test
  void denseHalvesAreNotToBeHad() throws Exception {
    FrameReader reader = open(codecs, header);
    FrameReader.Layer layer = reader.layer(MemorySegment.ofArray(group), 0);
    MemorySegment target = MemorySegment.ofArray(new byte[16 * 8]);
    IllegalStateException refused =
        assertThrows(IllegalStateException.class, () -> layer.decode(KvHalf.KEYS, target));
    assertTrue(refused.getMessage().contains("by layer [3, 1, 0]"), refused.getMessage());
  }

  @Test
  void framesThatKeepAllDecodeTheirRowsEitherWay() throws Exception {
    Codecs raw = new Codecs(List.of(), Frames.EXAMPLE_LAYOUT);
    List<byte[]> parts = Frames.example();
    FrameReader reader =
        Frames.open(Frames.plan(Frames.EXAMPLE_LAYOUT), raw, parts.get(0), Frames.exampleId(),
            Frames.EXAMPLE_GENERATION);
    assertNull(reader.kept());
    byte[] target = new byte[64];
    reader.layer(MemorySegment.ofArray(parts.get(1)), 0).decodeKept(KvHalf.KEYS,
        MemorySegment.ofArray(target));
    assertArrayEquals(Frames.exampleHalves().get(0), target);
  }

  /** Goal: what is re-encoded still names the content it came from, though its rows were changed on the way. */
  @Test
  void contentIsThatBeforeTokensWereDropped() throws Exception {
    Codecs known = new Codecs(List.of(new TruncatingCompressor(), TrimCodec.EXACT), LAYOUT);
    Compressor lossy = new TruncatingCompressor();
    Kept kept = Frames.exampleKept();
    List<byte[]> halves = Frames.randomHalves(LAYOUT, 5);
    List<byte[]> first = write(lossy, kept, Frames.inOrder(halves));
    FrameReader reader = open(known, first.get(0));
    List<byte[]> rounded = rows(reader, first.get(1));
    List<byte[]> second = write(TrimCodec.EXACT, kept, writer -> {
      for (int index = 0; index < rounded.size(); index++) {
        writer.reencode(index / 2, KvHalf.values()[index % 2], MemorySegment.ofArray(rounded.get(index)),
            reader.header());
      }
      writer.requireContentOf(reader.header());
    });
    FrameReader again = open(known, second.get(0));
    requireEqual(rounded, rows(again, second.get(1)), "re-encoded");
    for (int index = 0; index < halves.size(); index++) {
      boolean empty = rounded.get(index).length == 0;
      int content = again.header().halves().contentCrc(index / 2, KvHalf.values()[index % 2]);
      assertEquals(empty ? 0 : Checksums.crc(MemorySegment.ofArray(halves.get(index))), content);
    }
    Kept other = random(new SplittableRandom(1), 2, 2, 2);
    write(TrimCodec.EXACT, kept, writer -> {
      Frames.inOrder(halves).fill(writer);
      FrameHeader elsewhere = open(known, write(lossy, other, Frames.inOrder(halves)).get(0)).header();
      assertThrows(IllegalArgumentException.class,
          () -> writer.reencode(0, KvHalf.KEYS, MemorySegment.ofArray(rounded.get(0)), elsewhere));
    });
  }

  @Test
  void writerRefusesAnotherEncodingAndScores() {
    Kept kept = Frames.exampleKept();
    RawCodec raw = new RawCodec();
    for (Encoding wrong : List.of(Encoding.RAW, Encoding.of(200).keeping(Frames.PRUNED.dropping(), 25))) {
      assertThrows(IllegalArgumentException.class, () -> Frames.write(Frames.prunedFields(wrong, 0),
          plan.maxPartBytes(raw, kept), claimed -> new FrameWriter(plan, raw, claimed, kept),
          Frames.inOrder(Frames.prunedHalves())));
    }
    write(raw, kept, writer -> {
      Frames.inOrder(Frames.prunedHalves()).fill(writer);
      ChunkScores scores = ChunkScores.of(Frames.EXAMPLE_LAYOUT, Frames.exampleScores(), 0);
      assertThrows(IllegalStateException.class, () -> writer.scores(scores));
    });
  }

  /** Whether the damage was found; fails when it was not and anything else than what was stored is read. */
  private boolean found(byte[] headerRead, byte[] groupRead) throws Exception {
    try {
      FrameReader reader = open(codecs, headerRead);
      assertEquals(Frames.exampleKept(), reader.kept());
      requireEqual(expected(new RawCodec(), Frames.prunedHalves(), Frames.exampleKept()),
          rows(reader, groupRead), "read");
      return false;
    } catch (MalformedDataException e) {
      return true;
    }
  }

  @Test
  void everyBitCountsButTheZerosBetween() throws Exception {
    assertFalse(found(header, group));
    for (int bit = 0; bit < header.length * 8; bit++) {
      byte[] damaged = header.clone();
      damaged[bit / 8] ^= (byte) (1 << bit % 8);
      assertTrue(found(damaged, group), "header, bit " + bit);
    }
    for (int bit = 0; bit < group.length * 8; bit++) {
      byte[] damaged = group.clone();
      damaged[bit / 8] ^= (byte) (1 << bit % 8);
      int at = bit / 8;
      boolean zeros = at >= 88 && at < 128 || at >= 140 && at < 192;
      assertEquals(!zeros, found(header, damaged), "group, bit " + bit);
    }
    for (int length = 0; length < header.length; length++) {
      assertTrue(found(Arrays.copyOf(header, length), group), "header of " + length);
    }
  }

  private String refusal(byte[] forged) {
    Frames.sealHeader(forged);
    return assertThrows(MalformedDataException.class, () -> {
      FrameReader reader = open(codecs, forged);
      rows(reader, group);
    }).getMessage();
  }

  private String refusalOf(int at, int value) {
    byte[] forged = header.clone();
    forged[at] = (byte) value;
    return refusal(forged);
  }

  @Test
  void positionsThatDoNotGoTogetherAreRefused() {
    assertEquals("heads of layer 0 keep 4 and 3 tokens", refusalOf(POSITIONS_AT, 0x23));
    assertEquals("heads of layer 0 keep 3 and 2 tokens", refusalOf(POSITIONS_AT + 2, 0x08));
    // One token fewer, and one more, than there are rows: of a layer with one head the lengths tell.
    assertTrue(refusalOf(POSITIONS_AT + 4, 0).startsWith("KEYS of layer 1 have no elements"));
    assertEquals("KEYS of layer 1 have 6 bytes, more or fewer than raw makes of 12",
        refusalOf(POSITIONS_AT + 4, 0x81));
    assertTrue(refusalOf(POSITIONS_AT + 6, 1).startsWith("KEYS of layer 2 start at"));
  }

  @Test
  void encodingThatDoesNotFitIsRefused() {
    assertTrue(refusalOf(208, 0).endsWith("has kept positions of mode 0"));
    assertEquals("header has 380 bytes, expected 374", refusalOf(208, 1));
    assertEquals("kept positions of mode 3 are not known", refusalOf(208, 3));
    assertEquals("dropping method 0 keeps 25 percent", refusalOf(METHOD_AT, 0));
    assertEquals("dropping method 8 keeps 25 percent", refusalOf(METHOD_AT, 8));
    assertEquals("dropping method 255 keeps 25 percent", refusalOf(METHOD_AT, 255));
    for (int percent : new int[] {0, 100, 101, 255}) {
      assertEquals("dropping method 3 keeps " + percent + " percent", refusalOf(RETAINED_AT, percent));
    }
    byte[] dense = header.clone();
    dense[METHOD_AT] = 0;
    dense[RETAINED_AT] = 100;
    assertTrue(refusal(dense).endsWith("has kept positions of mode 2"));
    dense[208] = 0;
    assertEquals("header has 380 bytes, expected 372", refusal(dense));
    assertTrue(refusalOf(232, 0x10).endsWith("has scores"));
    assertEquals("codec 9 is not among [0, 200, 201]", refusalOf(56, 9));
  }

  private final List<byte[]> uniform = Frames.uniform();

  /** Whether damage of the frame that keeps the same tokens everywhere was found. */
  private boolean foundUniformly(byte[] headerRead, byte[] groupRead) throws Exception {
    try {
      FrameReader reader = open(codecs, headerRead);
      assertEquals(Frames.uniformKept(), reader.kept());
      assertEquals(Frames.PRUNED_UNIFORMLY, reader.header().encoding());
      requireEqual(expected(new RawCodec(), Frames.prunedHalves(), Frames.uniformKept()),
          rows(reader, groupRead), "read");
      return false;
    } catch (MalformedDataException e) {
      return true;
    }
  }

  @Test
  void everyBitOfAUniformHeaderCounts() throws Exception {
    byte[] sound = uniform.get(0);
    assertFalse(foundUniformly(sound, uniform.get(1)));
    for (int bit = 0; bit < sound.length * 8; bit++) {
      byte[] damaged = sound.clone();
      damaged[bit / 8] ^= (byte) (1 << bit % 8);
      assertTrue(foundUniformly(damaged, uniform.get(1)), "bit " + bit);
    }
    for (int length = 0; length < sound.length; length++) {
      assertTrue(foundUniformly(Arrays.copyOf(sound, length), uniform.get(1)), "length " + length);
    }
  }

  /** Goal: fields that lie are found though the checksum is right. */
  @Test
  void uniformPositionsThatDoNotGoTogetherAreRefused() {
    for (int[] change : new int[][] {{208, 2}, {208, 0}, {208, 3}, {METHOD_AT, 0}, {METHOD_AT, 0x83},
      {RETAINED_AT, 100}, {POSITIONS_AT, 0x23}, {POSITIONS_AT + 1, 0}}) {
      byte[] forged = uniform.get(0).clone();
      forged[change[0]] = (byte) change[1];
      Frames.sealHeader(forged);
      assertThrows(MalformedDataException.class, () -> rows(open(codecs, forged), uniform.get(1)),
          Arrays.toString(change));
    }
  }

  /** Goal: nobody says that a frame is uniform and stores different tokens, or the other way round. */
  @Test
  void writerRefusesTheOtherForm() {
    RawCodec raw = new RawCodec();
    Kept[] kept = {Frames.exampleKept(), Frames.uniformKept()};
    Encoding[] encodings = {Frames.PRUNED_UNIFORMLY, Frames.PRUNED};
    for (int i = 0; i < 2; i++) {
      int which = i;
      assertThrows(IllegalArgumentException.class,
          () -> Frames.write(Frames.prunedFields(encodings[which], 0), plan.maxPartBytes(raw, kept[which]),
              claimed -> new FrameWriter(plan, raw, claimed, kept[which]),
              Frames.inOrder(Frames.prunedHalves())));
    }
  }

  /** Goal: an encoding that drops tokens is never taken for exact bytes. */
  @Test
  void prunedFrameIsNotOfTheFullClass() throws Exception {
    byte[] forged = header.clone();
    forged[5] = 0;
    Frames.sealHeader(forged);
    EntryId full = new EntryId(Frames.prunedId().key(), VariantClass.FULL);
    MalformedDataException refused = assertThrows(MalformedDataException.class,
        () -> Frames.open(plan, codecs, forged, full, Frames.EXAMPLE_GENERATION));
    assertEquals("a FULL frame is encoded by keydiff-25", refused.getMessage());
  }

  @Test
  void hostileLengthsAreRefused() {
    for (long value : new long[] {-1, 0, 1, 1L << 40, Long.MAX_VALUE, Long.MAX_VALUE - 63, Long.MIN_VALUE}) {
      for (int at : new int[] {48, 264, HALF_TABLE_AT, HALF_TABLE_AT + 16, HALF_TABLE_AT + 32}) {
        byte[] forged = header.clone();
        MemorySegment.ofArray(forged).set(Wire.LONG, at, value);
        refusal(forged);
      }
      for (int at = HALF_TABLE_AT + 48; value != 0 && at < POSITIONS_AT; at += 8) {
        byte[] forged = header.clone();
        MemorySegment.ofArray(forged).set(Wire.LONG, at, value);
        refusal(forged);
      }
    }
  }
}
