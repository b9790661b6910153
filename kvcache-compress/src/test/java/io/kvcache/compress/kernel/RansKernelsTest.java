package io.kvcache.compress.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class RansKernelsTest {
  private static final int N = 64;
  private static final int ROWS = 200;

  /** Goal: what is decoded is what was encoded, whatever the frequencies, 1 and 4096 among them. */
  @Test
  void symbolsComeBack() {
    SplittableRandom random = new SplittableRandom(3);
    for (int round = 0; round < 300; round++) {
      int[][] frequencies = {frequencies(random), frequencies(random), {RansKernels.TOTAL}};
      int[] bases = random.ints(2 * N, 0, 3).toArray();
      byte[][] symbols = new byte[2][ROWS * N];
      for (int i = 0; i < 2 * ROWS * N; i++) {
        int[] of = frequencies[bases[i % 2 * N + i / 2 % N]];
        symbols[i % 2][i / 2] = (byte) draw(of, random);
      }
      comesBack(frequencies, bases, symbols, "round " + round);
    }
  }

  private static void comesBack(int[][] frequencies, int[] tables, byte[][] symbols, String round) {
    int[] entries = new int[3 * 256];
    long[] reciprocals = new long[3 * 256];
    int[] slots = new int[3 * RansKernels.TOTAL];
    for (int table = 0; table < 3; table++) {
      int slot = 0;
      for (int symbol = 0; symbol < frequencies[table].length; symbol++) {
        int frequency = frequencies[table][symbol];
        if (frequency > 0) {
          entries[table * 256 + symbol] = RansKernels.encodingEntry(frequency, slot);
          reciprocals[table * 256 + symbol] = RansKernels.reciprocal(frequency);
        }
        for (int offset = 0; offset < frequency; offset++) {
          slots[table * RansKernels.TOTAL + slot++] = RansKernels.decodingEntry(symbol, frequency, offset);
        }
      }
    }
    int[] words = new int[ROWS * N + 8];
    int at = words.length;
    long[] states = new long[RansKernels.STATES];
    Arrays.fill(states, RansKernels.LEAST_STATE);
    for (int row = ROWS - 1; row >= 0; row--) {
      at = RansKernels.encode(entries, reciprocals, bases(tables, 0, 256), bases(tables, N, 256), symbols[0],
          symbols[1], row * N, words, at, states, N);
    }
    assertSmall(frequencies, tables, symbols, 32 * (words.length - at), round);
    words = Arrays.copyOf(words, words.length + N);
    int[] first = new int[N];
    int[] second = new int[N];
    for (int row = 0; row < ROWS; row++) {
      at = RansKernels.decode(slots, bases(tables, 0, RansKernels.TOTAL), bases(tables, N, RansKernels.TOTAL),
          words,
          at, states, first, second, N);
      for (int i = 0; i < N; i++) {
        assertEquals(symbols[0][row * N + i] & 0xff, first[i], round + " row " + row + " symbol " + i);
        assertEquals(symbols[1][row * N + i] & 0xff, second[i], round + " row " + row + " symbol " + i);
      }
    }
    assertEquals(words.length - N, at, round);
    assertArrayEquals(new long[] {1L << 31, 1L << 31, 1L << 31, 1L << 31}, states, round);
  }

  /** Within a hundredth of what the frequencies allow for, and what four states hold. */
  private static void assertSmall(int[][] frequencies, int[] tables, byte[][] symbols, int bits,
      String round) {
    double least = 0;
    for (int i = 0; i < 2 * ROWS * N; i++) {
      int frequency = frequencies[tables[i % 2 * N + i / 2 % N]][symbols[i % 2][i / 2] & 0xff];
      least += Math.log((double) RansKernels.TOTAL / frequency) / Math.log(2);
    }
    assertTrue(bits <= 1.01 * least && bits >= least - 4 * 32 - 1,
        round + ": " + bits + " bits, least " + least);
  }

  private static int[] bases(int[] tables, int from, int size) {
    return Arrays.stream(tables, from, from + N).map(table -> table * size).toArray();
  }

  private static int[] frequencies(SplittableRandom random) {
    int[] frequencies = new int[random.nextInt(2, 257)];
    Arrays.fill(frequencies, 1);
    int left = RansKernels.TOTAL - frequencies.length;
    while (left > 0) {
      int part = random.nextInt(1, left + 1);
      frequencies[random.nextInt(frequencies.length)] += part;
      left -= part;
    }
    return frequencies;
  }

  /** By frequency mostly, and rare ones more often than that. */
  private static int draw(int[] frequencies, SplittableRandom random) {
    if (random.nextInt(8) == 0) {
      return random.nextInt(frequencies.length);
    }
    int slot = random.nextInt(RansKernels.TOTAL);
    int symbol = 0;
    while (slot >= frequencies[symbol]) {
      slot -= frequencies[symbol++];
    }
    return symbol;
  }
}
