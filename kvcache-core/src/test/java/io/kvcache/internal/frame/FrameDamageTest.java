package io.kvcache.internal.frame;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.spi.MalformedDataException;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/**
 * Damage to a complete small frame: found, or without any effect on what is read. The only bytes no checksum covers
 * are the zeros between halves, 160 to 191 of the group part here; nothing is ever read from them.
 */
class FrameDamageTest {
  private static final int ZEROS_FROM = 160;
  private static final int ZEROS_TO = 192;

  private final FramePlan plan = Frames.plan(Frames.EXAMPLE_LAYOUT);
  private final Codecs codecs = new Codecs(List.of(), Frames.EXAMPLE_LAYOUT);
  private final byte[] header = Frames.example().get(0);
  private final byte[] group = Frames.example().get(1);

  /** Whether the damage was found; fails when it was not and anything else than what was stored is read. */
  private boolean found(byte[] headerRead, byte[] groupRead) {
    try {
      FrameReader reader =
          Frames.open(plan, codecs, headerRead, Frames.exampleId(), Frames.EXAMPLE_GENERATION);
      List<byte[]> halves = Frames.read(reader, List.of(headerRead, groupRead));
      for (int half = 0; half < halves.size(); half++) {
        assertArrayEquals(Frames.exampleHalves().get(half), halves.get(half));
      }
      return false;
    } catch (MalformedDataException e) {
      return true;
    }
  }

  private static byte[] flipped(byte[] bytes, int bit) {
    byte[] damaged = bytes.clone();
    damaged[bit / 8] ^= (byte) (1 << bit % 8);
    return damaged;
  }

  @Test
  void intactFrameIsRead() {
    assertFalse(found(header, group));
  }

  @Test
  void everyBitOfTheHeaderCounts() {
    for (int bit = 0; bit < header.length * 8; bit++) {
      assertTrue(found(flipped(header, bit), group), "bit " + bit);
    }
  }

  @Test
  void everyBitOfAGroupCountsButTheZerosBetween() {
    for (int bit = 0; bit < group.length * 8; bit++) {
      boolean zeros = bit / 8 >= ZEROS_FROM && bit / 8 < ZEROS_TO;
      assertEquals(!zeros, found(header, flipped(group, bit)), "bit " + bit);
    }
  }

  @Test
  void everyTruncationIsFound() {
    for (int length = 0; length < header.length; length++) {
      assertTrue(found(Arrays.copyOf(header, length), group), "header of " + length);
    }
    for (int length = 0; length < group.length; length++) {
      assertTrue(found(header, Arrays.copyOf(group, length)), "group of " + length);
    }
  }

  /** Goal: a byte too many is found wherever it moves another, and none behind the part matters. */
  @Test
  void everyInsertedByteIsFound() {
    for (int value : new int[] {0, 1, 0x4b, 0x80, 0xff}) {
      for (int at = 0; at <= header.length; at++) {
        byte[] longer = inserted(header, at, (byte) value);
        boolean same = Arrays.equals(header, 0, header.length, longer, 0, header.length);
        assertEquals(!same, found(longer, group), "header, " + value + " at " + at);
      }
      for (int at = 0; at <= group.length; at++) {
        byte[] longer = inserted(group, at, (byte) value);
        assertEquals(!sameButZeros(longer), found(header, longer), "group, " + value + " at " + at);
      }
    }
  }

  private static byte[] inserted(byte[] bytes, int at, byte value) {
    byte[] longer = Arrays.copyOf(bytes, bytes.length + 1);
    System.arraycopy(bytes, at, longer, at + 1, bytes.length - at);
    longer[at] = value;
    return longer;
  }

  private boolean sameButZeros(byte[] other) {
    return Arrays.equals(group, 0, ZEROS_FROM, other, 0, ZEROS_FROM)
        && Arrays.equals(group, ZEROS_TO, group.length, other, ZEROS_TO, group.length);
  }

  /** Goal: damage of any size is found. Method: seeded bytes overwritten, cut off and moved about. */
  @Test
  void randomDamageIsFound() {
    long seed = Long.getLong("test.seed", 20261123);
    SplittableRandom random = new SplittableRandom(seed);
    for (int round = 0; round < 100_000; round++) {
      boolean inHeader = random.nextBoolean();
      byte[] damaged = (inHeader ? header : group).clone();
      byte[] before = damaged.clone();
      for (int edits = random.nextInt(1, 5); edits > 0; edits--) {
        int from = random.nextInt(damaged.length);
        int length = random.nextInt(1, Math.min(48, damaged.length - from) + 1);
        if (random.nextBoolean()) {
          byte[] noise = new byte[length];
          random.nextBytes(noise);
          System.arraycopy(noise, 0, damaged, from, length);
        } else {
          System.arraycopy(damaged, random.nextInt(damaged.length - length + 1), damaged, from, length);
        }
      }
      boolean harmless = inHeader ? Arrays.equals(before, damaged) : sameButZeros(damaged);
      boolean found = inHeader ? found(damaged, group) : found(header, damaged);
      assertEquals(!harmless, found, "seed=" + seed + " round=" + round);
    }
  }
}
