package io.kvcache.internal.frame;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.DropMethod;
import io.kvcache.KvLayout;
import io.kvcache.TokenScores;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** Scores in a frame: what comes back, and what is refused. */
class ChunkScoresTest {
  private static final KvLayout LAYOUT = Frames.EXAMPLE_LAYOUT;
  private static final int MASK_AT = 232;

  private final FramePlan plan = Frames.plan(LAYOUT);
  private final Codecs codecs = new Codecs(List.of(), LAYOUT);
  private final List<byte[]> parts = Frames.scored();

  private FrameReader open(byte[] header) throws MalformedDataException {
    return Frames.open(plan, codecs, header, Frames.exampleId(), Frames.EXAMPLE_GENERATION);
  }

  @Test
  void frameTellsItsScores() throws Exception {
    FrameReader reader = open(parts.get(0));
    assertEquals(3, reader.header().parts());
    assertEquals(192, reader.header().partBytes(2));
    assertEquals(Set.of(DropMethod.SNAPKV, DropMethod.EXPECTED_ATTENTION), reader.header().scored());
    assertEquals(192, reader.verifyPart(MemorySegment.ofArray(parts.get(2)), 2));
    ChunkScores scores = reader.scores(MemorySegment.ofArray(parts.get(2)));
    float[] snap = scores.of(DropMethod.SNAPKV, 1, 0);
    for (int token = 0; token < 16; token++) {
      assertEquals(-16 - token, snap[token]);
    }
    assertEquals(Float.POSITIVE_INFINITY, scores.of(DropMethod.SNAPKV, 0, 0)[15]);
    assertThrows(IllegalArgumentException.class, () -> scores.of(DropMethod.H2O, 0, 0));
    FrameReader none = open(Frames.example().get(0));
    assertEquals(2, none.header().parts());
    assertThrows(IllegalStateException.class, () -> none.scores(MemorySegment.ofArray(parts.get(2))));
  }

  /** Goal: each score comes back in its place, to bf16's precision. Method: random ones, heads differing by layer. */
  @Test
  void scoresComeBackRounded() {
    long seed = Long.getLong("test.seed", 20261125);
    SplittableRandom random = new SplittableRandom(seed);
    KvLayout layout = Frames.PRUNED_LAYOUT;
    TokenScores scores = TokenScores.none();
    for (DropMethod method : List.of(DropMethod.H2O, DropMethod.SNAPKV, DropMethod.EXPECTED_ATTENTION)) {
      float[][][] all = new float[3][][];
      for (int layer = 0; layer < 3; layer++) {
        all[layer] = new float[layout.layer(layer).kvHeads()][48];
        for (float[] row : all[layer]) {
          for (int token = 0; token < row.length; token++) {
            row[token] = (float) Math.scalb(random.nextDouble(-1, 1), random.nextInt(-100, 100));
          }
        }
      }
      scores = scores.with(method, all);
    }
    ChunkScores stored = ChunkScores.of(layout, scores, 16);
    for (DropMethod method : scores.methods()) {
      for (int layer = 0; layer < 3; layer++) {
        for (int head = 0; head < layout.layer(layer).kvHeads(); head++) {
          float[] given = scores.of(method, layer, head);
          float[] read = stored.of(method, layer, head);
          for (int token = 0; token < 16; token++) {
            float exact = given[16 + token];
            assertEquals(exact, read[token], Math.abs(exact) / 256, "seed=" + seed + " " + method);
            assertEquals(0, Float.floatToRawIntBits(read[token]) & 0xFFFF);
          }
        }
      }
    }
  }

  @Test
  void roundingIsToNearestHalfToEven() {
    int[][] cases = {{0x3f800000, 0x3f80}, {0x3f808000, 0x3f80}, {0x3f808001, 0x3f81}, {0x3f818000, 0x3f82},
      {0x3f817fff, 0x3f81}, {0x80000000, 0x8000}, {0x7f7fffff, 0x7f80}, {0xff800000, 0xff80},
      {0x00000001, 0x0000}, {0x00018000, 0x0002}, {0xbf808001, 0xbf81}, {0x7f7f7fff, 0x7f7f},
      {0x3f7fffff, 0x3f80}, {0x7f800000, 0x7f80}, {0x007fffff, 0x0080}, {0x00008000, 0x0000}};
    float[][][] given = new float[2][1][16];
    for (int token = 0; token < 16; token++) {
      given[0][0][token] = Float.intBitsToFloat(cases[token][0]);
    }
    float[] read = ChunkScores.of(LAYOUT, TokenScores.none().with(DropMethod.H2O, given), 0)
        .of(DropMethod.H2O, 0, 0);
    for (int token = 0; token < 16; token++) {
      assertEquals(cases[token][1] << 16, Float.floatToRawIntBits(read[token]), "case " + token);
    }
  }

  /** Whether the damage was found; fails when it was not and other scores are read. */
  private boolean found(byte[] header, byte[] part) {
    try {
      ChunkScores read = open(header).scores(MemorySegment.ofArray(part));
      ChunkScores right = ChunkScores.of(LAYOUT, Frames.exampleScores(), 16);
      for (DropMethod method : right.methods()) {
        for (int layer = 0; layer < 2; layer++) {
          assertArrayEquals(right.of(method, layer, 0), read.of(method, layer, 0));
        }
      }
      return false;
    } catch (MalformedDataException e) {
      return true;
    }
  }

  @Test
  void everyBitCounts() {
    assertFalse(found(parts.get(0), parts.get(2)));
    for (int number : new int[] {0, 2}) {
      byte[] part = parts.get(number);
      for (int bit = 0; bit < part.length * 8; bit++) {
        byte[] damaged = part.clone();
        damaged[bit / 8] ^= (byte) (1 << bit % 8);
        assertTrue(number == 0 ? found(damaged, parts.get(2)) : found(parts.get(0), damaged), "bit " + bit);
      }
    }
    for (int length = 0; length < 192; length++) {
      assertTrue(found(parts.get(0), Arrays.copyOf(parts.get(2), length)), "scores of " + length);
    }
    assertTrue(found(parts.get(0), parts.get(1)), "another part");
  }

  private String refusal(byte[] header, byte[] part) {
    Frames.sealHeader(header);
    return assertThrows(MalformedDataException.class, () -> open(header).scores(MemorySegment.ofArray(part)))
        .getMessage();
  }

  @Test
  void fieldsThatDoNotGoTogetherAreRefused() {
    for (int bits : new int[] {1, 2, 8, 0x100, 1 << 31, -1}) {
      byte[] forged = parts.get(0).clone();
      MemorySegment.ofArray(forged).set(Wire.INT, MASK_AT, bits);
      assertEquals("scores are for methods %08x, known are 000000f0".formatted(bits),
          refusal(forged, parts.get(2)));
    }
    byte[] fewer = parts.get(0).clone();
    fewer[MASK_AT] = 0x10;
    assertEquals("scores part has 192 bytes, expected 128", refusal(fewer, parts.get(2)));
    byte[] none = parts.get(0).clone();
    none[MASK_AT] = 0;
    assertEquals("byte 240 of the header is not zero", refusal(none, parts.get(2)));
    for (long length : new long[] {-1, 0, 63, 64, 191, 193, 1L << 40, Long.MAX_VALUE, Long.MIN_VALUE}) {
      byte[] forged = parts.get(0).clone();
      MemorySegment.ofArray(forged).set(Wire.LONG, 240, length);
      assertEquals("scores part has " + length + " bytes, expected 192", refusal(forged, parts.get(2)));
    }
    for (int at : new int[] {236, 252, 255}) {
      byte[] forged = parts.get(0).clone();
      forged[at] = 1;
      assertEquals("byte " + at + " of the header is not zero", refusal(forged, parts.get(2)));
    }
  }

  @Test
  void scoreThatIsNaNIsRefused() {
    for (int nan : new int[] {0x7fc0, 0x7f81, 0xffff}) {
      byte[] part = parts.get(2).clone();
      MemorySegment bytes = MemorySegment.ofArray(part);
      bytes.set(Wire.SHORT, 70, (short) nan);
      byte[] header = parts.get(0).clone();
      MemorySegment.ofArray(header).set(Wire.INT, 248, Checksums.crc(bytes.asSlice(64)));
      assertEquals("score at byte 6 is NaN", refusal(header, part));
    }
  }
}
