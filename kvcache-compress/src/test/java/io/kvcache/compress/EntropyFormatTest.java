package io.kvcache.compress;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.DType;
import io.kvcache.KvHalf;
import io.kvcache.KvShape;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.MalformedDataException;
import io.kvcache.testkit.KvSamples;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.HexFormat;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Pins format version 1 of entropy-coded halves, and what of it is refused. A change that breaks these tests makes
 * stored data unreadable: it needs a codec number of its own. The bytes were decoded by a second program, written from
 * the description alone.
 */
class EntropyFormatTest {
  /** Level 3, BF16, keys; 27 bytes of head, four states, three words. */
  private static final String SMALL =
      "0000f27e404000000f0a0544fb082b0000008004ff15ab05002b032320002f787ef502d6cfc23d060000000000"
          + "00800000000000000080000000007b552c9aaddda8a572186545";

  private static final KvShape SMALL_SHAPE = new KvShape(KvHalf.KEYS, 32, 1, 3, DType.BF16);

  @ParameterizedTest
  @CsvSource({
    "KEYS, 0, BF16, 0.0626, 0001f27ec03d01000fca02a301fa10fe07c003c012c006800300000040f50b80010000000000"
        + "0000000000801f020d106a69d9710700c03f9a314725792d0000008000000000000000800000"
        + "0000bb020b0b5a0a6b0bbb0bba0a0b0b5a0b6b0abb0bba0b0b0a5b0b6a0bbb0bbb0a0a0b5b0b"
        + "6b0aba0bbb0b0a0a5b0b6b0bba0abb0b0b0b5a0a6b0bbb0bba0a0b0b9faa61ea00e8341b",
    "KEYS, 1, F16, 0.297, 000028ff193f00003334d20219e6272b00000000000000000000000000000000000000000000"
        + "ab0200d50ad501d505800900800200000000000000002b060e50d08a4d0400002701920fa23e"
        + "aa0000000080000000000000008000000000b94a7c090bcbb8856c7b0252e65d43b093a835a3"
        + "d7fb5e1e",
    "KEYS, 2, F32, 0.594, 000028ff993f0000331aaa010bf3132b00000000000000000000ab02ab06800ad40c00000000"
        + "2b0504c09a03fd090f0003e1508d09000000000000800000000000000080000000008ceb0ef2"
        + "57ef5cbe9c6f0bed22cfe28254facab0",
    "KEYS, 3, BF16, 1.51, 0000f27e404000000f0a0544fb082b0000008004ff15ab05002b032320002f787ef502d6cfc2"
        + "3d06000000000000800000000000000080000000007b552c9aaddda8a572186545",
    "VALUES, 0, F32, 0.0983, 0080b36f083e0001000089880996f0987689967998889868998000000e0114fb0f5555d501d6"
        + "0c80038008d502ab02000000000000002b06c4c82291103100003ac13ab40867c60900000080"
        + "000000000000008000000000f40cc100c002c204f10829074c0ef10c0000dc01c104fd084c08"
        + "8101fd0cc2004103fd08f4088104c003f40cc100c002c204f108c0014c0ef10cfd0b0808c104"
        + "569c52fe859c4710f19da53584a835db5031c0b25bde0c9f000000400000c07f00000000",
    "VALUES, 1, BF16, 0.872, 00803db9a33f0001000089880996f098768996799888986899800000020200f81aab01000000"
        + "d5018004aa0bab01d505d5028001ab01ab01000000000000000000000000002b08c3349e7413"
        + "8b00009116ec4802000000000000800000000000000080000000004165e594a0b892172c5c0e"
        + "147099062b8b179cd70354c484b8cc02675cbcad810040c07f0000",
    "VALUES, 2, F16, 1.282, 00803db923400001000089880996f098768996799888986899800000000002f8115500000000"
        + "ab01800bd5018007ab06d5030000000000002b06a2a922861c2e4f00b9247c9413b501000000"
        + "0080000000000000008000000000b8077c695801e1f0686c05946458d09e0e973230edcef6e1"
        + "0040007e0000",
    "VALUES, 3, F32, 3.03, 00808da7cc400001000089880996f098768996799888986899800000000000ff05ab03ff16ab"
        + "0500002b022fe47e52524c1600c6c095864b0bd60700000080000000000000008000000000ca"
        + "33736bf4296f1f000000400000c07f00000000"
  })
  void halvesAreCodedAsVersion1Does(KvHalf which, int level, DType dtype, float bound, String stored)
      throws MalformedDataException {
    KvShape shape = new KvShape(which, 32, 1, 3, dtype);
    MemorySegment half = half(shape);
    for (int token = 0; token < 32; token++) {
      float[] row = which == KvHalf.KEYS ? keys(token) : values(token);
      for (int channel = 0; channel < 3; channel++) {
        KvSamples.set(shape, half, 3 * token + channel, row[channel]);
      }
    }
    Compressor codec = Compressors.entropy(level);
    byte[] room = new byte[(int) codec.maxStoredBytes(shape)];
    int length = (int) codec.compress(shape, half, MemorySegment.ofArray(room));
    assertEquals(stored, HexFormat.of().formatHex(room, 0, length), shape.toString());
    MemorySegment decoded = half(shape);
    codec.decompress(shape, 0, MemorySegment.ofArray(HexFormat.of().parseHex(stored)), decoded);
    float worst = 0;
    for (long i = 0; i < shape.elements(); i++) {
      float was = KvSamples.get(shape, half, i);
      if (which == KvHalf.VALUES && i / 3 == 8) { // has a NaN, so all of it is exact
        assertEquals(was, KvSamples.get(shape, decoded, i));
      } else {
        worst = Math.max(worst, Math.abs(was - KvSamples.get(shape, decoded, i)));
      }
    }
    assertTrue(worst <= bound && worst > 0.97 * bound, "off by " + worst + ", known to be " + bound);
  }

  /** Channels that rise, that go round, and that fall. */
  private static float[] keys(int token) {
    return new float[] {token, 100 + 7 * token % 5, -0.5f * token};
  }

  /** A small token, one with a NaN, one that is far out. */
  private static float[] values(int token) {
    if (token == 5) {
      return new float[] {0.01f, -0.02f, 0.03f};
    }
    return new float[] {token % 3, token == 8 ? Float.NaN : 5 * token % 7 - 3, token == 9 ? 40 : 0};
  }

  @ParameterizedTest
  @CsvSource({
    "0, 02, mode of a block is 2",
    "1, 10, has 17 classes",
    "1, 01, frequencies|table|words|block of it ends", // two tables, where there is one
    "2, 00000000, step of a block is 0.0",
    "2, 0000c07f, step of a block is NaN",
    "2, 0000807f, step of a block is Infinity",
    "2, 000080bf, step of a block is -1.0",
    "6, 01, of class 1",
    "9, ffffffffffff, more than five bytes",
    "12, 7f, a table of 9 symbols begins with 127",
    "13, 05, frequencies of a table sum up to 3370",
    "14, 2c, sum up to more than 4096",
    "14, 2a, sum up to 4095",
    "26, 02, do not end|go on", // too few words, and so behind them some bytes too many
    "26, 04, a block of it ends at 75",
    "26, 7f, has 127 words",
    "30, 0000000000, a state begins with",
    "34, 80, a state begins with -",
    "59, ff, a state ends with|symbols go on|do not end",
    "70, ff, a state ends with|symbols go on|do not end"
  })
  void refuses(int at, String bytes, String reasons) {
    byte[] stored = HexFormat.of().parseHex(SMALL);
    byte[] other = HexFormat.of().parseHex(bytes);
    System.arraycopy(other, 0, stored, at, other.length);
    String reason = refusal(stored);
    assertTrue(Arrays.stream(reasons.split("[|]")).anyMatch(reason::contains), reason);
  }

  @Test
  void refusesOtherLengthsAndParameters() {
    byte[] stored = HexFormat.of().parseHex(SMALL);
    for (int length = 0; length < stored.length; length++) {
      refusal(Arrays.copyOf(stored, length));
    }
    String reason = refusal(Arrays.copyOf(stored, stored.length + 4));
    assertTrue(reason.contains("blocks end at 71"), reason);
    byte[] oneWordMore = Arrays.copyOf(stored, stored.length + 4);
    oneWordMore[26]++;
    reason = refusal(oneWordMore);
    assertTrue(reason.contains("do not end where"), reason);
    assertThrows(MalformedDataException.class, () -> Compressors.entropy(3).decompress(SMALL_SHAPE, 1,
        MemorySegment.ofArray(stored), half(SMALL_SHAPE)));
  }

  /** Goal: what a state ends with is checked. Method: each bit of the states a half begins with, and of its words. */
  @Test
  void refusesEveryBitOfStatesAndWords() {
    for (int bit = 27 * Byte.SIZE; bit < SMALL.length() / 2 * Byte.SIZE; bit++) {
      byte[] stored = HexFormat.of().parseHex(SMALL);
      stored[bit / Byte.SIZE] ^= (byte) (1 << bit % Byte.SIZE);
      refusal(stored);
    }
  }

  @Test
  void refusesRawRowsThatAreNone() throws MalformedDataException {
    KvShape shape = new KvShape(KvHalf.VALUES, 33, 1, 3, DType.BF16);
    MemorySegment half = KvSamples.REALISTIC.fill(shape, 1);
    KvSamples.set(shape, half, 7, Float.NaN);
    Compressor codec = Compressors.entropy(3);
    byte[] room = new byte[(int) codec.maxStoredBytes(shape)];
    int length = (int) codec.compress(shape, half, MemorySegment.ofArray(room));
    byte[] stored = Arrays.copyOf(room, length);
    assertEquals(0x80, stored[1] & 0x80);
    codec.decompress(shape, 0, MemorySegment.ofArray(stored), half(shape));
    byte[] damaged = stored.clone();
    damaged[6 + 4] |= 2; // row 33 of rows 0 to 32
    MalformedDataException refusal = assertThrows(MalformedDataException.class,
        () -> codec.decompress(shape, 0, MemorySegment.ofArray(damaged), half(shape)));
    assertTrue(refusal.getMessage().contains("one behind them is raw"), refusal.getMessage());
  }

  private static String refusal(byte[] stored) {
    return assertThrows(MalformedDataException.class, () -> Compressors.entropy(3).decompress(SMALL_SHAPE, 0,
        MemorySegment.ofArray(stored), half(SMALL_SHAPE)), () -> HexFormat.of().formatHex(stored))
        .getMessage();
  }

  private static MemorySegment half(KvShape shape) {
    return MemorySegment.ofArray(new byte[(int) shape.bytes()]);
  }
}
