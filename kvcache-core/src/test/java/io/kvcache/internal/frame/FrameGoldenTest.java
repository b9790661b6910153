package io.kvcache.internal.frame;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.ChunkKey;
import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.FormatDocument;
import io.kvcache.KvHalf;
import io.kvcache.internal.frame.EntryNote.Profile;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.MemorySegment;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** The bytes of format version 1, as {@code src/test/python/format_v1.py} makes them and {@code FORMAT.md} shows. */
class FrameGoldenTest {
  private static final String HEADER = "5894542af1da570ea4ef19f14f98c37643768a3b8ae8b9a4ba06f320bc3045ce";
  private static final String GROUP = "5d6528802cd677d6f5080f92b54030c9bf35f4210874fe6db0465893c5955885";
  private static final String NOTE =
      """
          0300000025c82ed410920abfcbe392dd7e79b4c69f33a02b539eee7105d399f7c9d4f8a15ef069171fc766e7be86d546ee3ba2cc\
          ca0b129676a39ae621faf86fe981565e01000000efcdab896745230100000064440200000000000000\
          6c50c4a0010000000000000000f83f030000000000000000505c18a30100000000000000000000fa87f5a8""";
  private static final List<Encoding> CANDIDATES = List.of(Encoding.RAW, Encoding.of(3),
      Encoding.of(3).keeping(DropMethod.KNORM, 50));

  private static String sha256(byte[] bytes) throws Exception {
    return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
  }

  private static EntryNote note() {
    List<ChunkKey> keys = Frames.exampleKeys();
    return new EntryNote(Frames.EXAMPLE_ROOT, keys.get(0), 1, Frames.EXAMPLE_GENERATION, Encoding.RAW,
        580, 1_790_000_000_000L, 1.5, 3, 1_800_000_000_000L, Set.of(), Profile.NONE);
  }

  private static EntryNote noteWithLosses() {
    EntryNote plain = note();
    Profile profile = new Profile(Profile.fingerprint(CANDIDATES), new float[] {0, 0.125f, Float.NaN});
    return new EntryNote(plain.root(), plain.previous(), 1, plain.generation(), CANDIDATES.get(2),
        plain.bytes(), plain.lastUseMillis(), plain.frequency(), plain.uses(), 0,
        Set.of(DropMethod.SNAPKV, DropMethod.EXPECTED_ATTENTION), profile);
  }

  @Test
  void frameIsThatOfTheReferenceImplementation() throws Exception {
    List<byte[]> parts = Frames.example();
    assertEquals(2, parts.size());
    assertEquals(HEADER, sha256(parts.get(0)));
    assertEquals(GROUP, sha256(parts.get(1)));
  }

  @Test
  void noteIsThatOfTheReferenceImplementation() throws Exception {
    assertEquals(NOTE, HexFormat.of().formatHex(note().encode()));
    assertEquals(note(), EntryNote.decode(HexFormat.of().parseHex(NOTE)));
  }

  /** Goal: what the document only names the hash of is what the code writes as well. */
  @Test
  void documentNamesTheOtherFramesAndNote() throws Exception {
    List<byte[]> pruned = Frames.pruned();
    List<byte[]> scored = Frames.scored();
    requireListed("pruned header part", pruned.get(0));
    requireListed("pruned group part", pruned.get(1));
    requireListed("uniform header part", Frames.uniform().get(0));
    requireListed("uniform group part", Frames.uniform().get(1));
    requireListed("scored header part", scored.get(0));
    requireListed("scored scores part", scored.get(2));
    requireListed("note with losses", noteWithLosses().encode());
    assertEquals(2, pruned.size());
    assertEquals(3, scored.size());
    assertEquals(GROUP, sha256(scored.get(1)));
  }

  private static void requireListed(String title, byte[] bytes) throws Exception {
    String line = title + ", " + bytes.length + " bytes, SHA-256 " + sha256(bytes);
    assertTrue(FormatDocument.lines().contains(line), line);
  }

  @Test
  void noteKeepsItsLosses() throws Exception {
    EntryNote read = EntryNote.decode(noteWithLosses().encode());
    assertEquals(CANDIDATES.get(2), read.encoding());
    assertEquals(Profile.fingerprint(CANDIDATES), read.profile().candidates());
    assertArrayEquals(new float[] {0, 0.125f, Float.NaN}, read.profile().lossPerChunk());
  }

  /** Goal: the worked example in the document is what the code writes, and can be read from there. */
  @Test
  void documentShowsTheSameBytes() throws Exception {
    List<byte[]> dumps = FormatDocument.dumps();
    List<byte[]> parts = Frames.example();
    assertEquals(3, dumps.size());
    assertArrayEquals(parts.get(0), dumps.get(0));
    assertArrayEquals(parts.get(1), dumps.get(1));
    assertArrayEquals(note().encode(), dumps.get(2));
  }

  @Test
  void headerSaysWhatWasWritten() throws Exception {
    FramePlan plan = Frames.plan(Frames.EXAMPLE_LAYOUT);
    Codecs codecs = new Codecs(List.of(), Frames.EXAMPLE_LAYOUT);
    List<byte[]> parts = Frames.example();
    FrameReader reader =
        Frames.open(plan, codecs, parts.get(0), Frames.exampleId(), Frames.EXAMPLE_GENERATION);
    FrameHeader header = reader.header();
    assertEquals(Frames.exampleFields().expiryMillis(), header.expiryMillis());
    assertEquals(0, header.parentGeneration());
    assertEquals(Encoding.RAW, header.encoding());
    assertEquals(340, header.partBytes(0));
    assertEquals(240, header.partBytes(1));
    assertEquals(64, header.offset(0, KvHalf.KEYS));
    assertEquals(128, header.offset(0, KvHalf.VALUES));
    assertEquals(192, header.offset(1, KvHalf.KEYS));
    List<byte[]> halves = Frames.read(reader, parts);
    for (int half = 0; half < 4; half++) {
      assertArrayEquals(Frames.exampleHalves().get(half), halves.get(half));
    }
  }

  @Test
  void everyDamageOfANoteIsFound() {
    requireDamageFound(note().encode());
    requireDamageFound(noteWithLosses().encode());
  }

  private static void requireDamageFound(byte[] note) {
    for (int bit = 0; bit < note.length * 8; bit++) {
      byte[] damaged = note.clone();
      damaged[bit / 8] ^= (byte) (1 << bit % 8);
      assertThrows(MalformedDataException.class, () -> EntryNote.decode(damaged), "bit " + bit);
    }
    for (int length = 0; length < 2 * note.length; length++) {
      byte[] other = Arrays.copyOf(note, length);
      if (length != note.length) {
        assertThrows(MalformedDataException.class, () -> EntryNote.decode(other), "length " + length);
      }
    }
  }

  @Test
  void notesThatCannotBeRightAreRefused() {
    EntryNote good = note();
    List<EntryNote> bad = List.of(
        new EntryNote(good.root(), good.previous(), -1, 1, Encoding.RAW, 580, 0, 1, 1, 0, Set.of(),
            Profile.NONE),
        new EntryNote(good.root(), good.previous(), 1, 1, Encoding.RAW, 0, 0, 1, 1, 0, Set.of(),
            Profile.NONE),
        new EntryNote(good.root(), good.previous(), 1, 1, Encoding.RAW, Long.MIN_VALUE, 0, 1, 1, 0,
            Set.of(), Profile.NONE),
        new EntryNote(good.root(), good.previous(), 1, 1, Encoding.RAW, 580, 0, -1, 1, 0, Set.of(),
            Profile.NONE),
        new EntryNote(good.root(), good.previous(), 1, 1, Encoding.RAW, 580, 0, Double.NaN, 1, 0, Set.of(),
            Profile.NONE),
        new EntryNote(good.root(), good.previous(), 1, 1, Encoding.RAW, 580, 0, Double.POSITIVE_INFINITY, 1,
            0,
            Set.of(), Profile.NONE),
        new EntryNote(good.root(), good.previous(), 1, 1, Encoding.RAW, 580, 0, 1, 1, -1, Set.of(),
            Profile.NONE),
        withProfile(good, new float[] {1.5f}), withProfile(good, new float[] {-0.1f}),
        withProfile(good, new float[EntryNote.MAX_CANDIDATES + 1]));
    for (EntryNote note : bad) {
      assertThrows(MalformedDataException.class, () -> EntryNote.decode(note.encode()), note.toString());
    }
  }

  private static EntryNote withProfile(EntryNote note, float[] losses) {
    return new EntryNote(note.root(), note.previous(), 1, 1, Encoding.RAW, 580, 0, 1, 1, 0,
        Set.of(), new Profile(1, losses));
  }

  /** Goal: an encoding there is none of, and a number of losses that are not there, are refused by name. */
  @Test
  void forgedNotesAreRefused() {
    assertEquals("dropping method 0 keeps 99 percent", noteRefusal(83, 99));
    assertEquals("dropping method 8 keeps 100 percent", noteRefusal(82, 8));
    assertEquals("dropping method 3 keeps 100 percent", noteRefusal(82, 3));
    assertEquals("note version is 2, expected 3", noteRefusal(0, 2));
    assertEquals("note of 136 bytes has losses of 1 candidates", noteRefusal(128, 1));
    assertEquals("note of 136 bytes has losses of 65280 candidates", noteRefusal(129, 255));
    assertEquals("scores are for methods 00000004, known are 000000f0", noteRefusal(130, 4));
  }

  /** Goal: a restart, which reads notes alone, knows which entries are of use to whom. */
  @Test
  void noteSaysWhetherTokensWereDroppedUniformly() throws Exception {
    EntryNote plain = note();
    for (Encoding encoding : List.of(CANDIDATES.get(2), Encoding.of(3).keepingUniformly(DropMethod.KNORM, 50),
        Encoding.RAW.keepingUniformly(DropMethod.KVZIP, 1))) {
      EntryNote pruned =
          new EntryNote(plain.root(), plain.previous(), 1, 1, encoding, 580, 0, 1, 1, 0, Set.of(),
              Profile.NONE);
      assertEquals(encoding, EntryNote.decode(pruned.encode()).encoding());
    }
    assertNotEquals(Profile.fingerprint(List.of(Encoding.RAW.keeping(DropMethod.KNORM, 50))),
        Profile.fingerprint(List.of(Encoding.RAW.keepingUniformly(DropMethod.KNORM, 50))));
    assertEquals("dropping method 0 keeps 100 percent uniformly", noteRefusal(82, 0x80));
    assertEquals("dropping method 127 keeps 100 percent uniformly", noteRefusal(82, 0xFF));
  }

  private static String noteRefusal(int at, int value) {
    byte[] note = note().encode();
    note[at] = (byte) value;
    MemorySegment bytes = MemorySegment.ofArray(note);
    bytes.set(Wire.INT, note.length - 4, Checksums.crc(bytes.asSlice(0, note.length - 4)));
    return assertThrows(MalformedDataException.class, () -> EntryNote.decode(note)).getMessage();
  }
}
