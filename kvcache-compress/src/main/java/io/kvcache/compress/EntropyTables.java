package io.kvcache.compress;

import io.kvcache.compress.kernel.RansKernels;
import io.kvcache.spi.MalformedDataException;
import java.util.Arrays;

/**
 * The tables of a block: how frequent each symbol is, −128 to 127, among the channels of a class. A class takes in the
 * channels whose symbols are about as far from zero; two neighbouring ones are one wherever a table of its own costs
 * more than it saves.
 */
final class EntropyTables {
  /** Most classes of a block. */
  static final int MOST = 16;

  /** Most bytes of a table. */
  static final int MOST_BYTES = 2 + 2 * 256;

  private static final int SYMBOLS = 256;

  /** Channels are told apart by the octave of their mean square first; that of bytes has at most so many. */
  private static final int OCTAVES = 20;
  private static final int FRACTION_BITS = 4;
  private static final double[] LOG2 = new double[1025];

  static {
    for (int i = 0; i < LOG2.length; i++) {
      LOG2[i] = StrictMath.log(1 + i / 1024.0) / StrictMath.log(2);
    }
  }

  private final int[] counts = new int[OCTAVES * SYMBOLS];
  private final double[] cost = new double[OCTAVES];
  private final int[] members = new int[OCTAVES];
  private final int[] classOf = new int[OCTAVES];
  private final int[] merged = new int[SYMBOLS];
  private final int[] frequencies = new int[SYMBOLS];
  private int classes;

  /** For encoding, 256 for each class and one set more for lanes without a channel. */
  final int[] entries = new int[(MOST + 1) * SYMBOLS];
  final long[] reciprocals = new long[(MOST + 1) * SYMBOLS];

  /** For decoding, {@link RansKernels#TOTAL} for each class and for lanes without a channel; made when needed. */
  int[] slots = new int[0];

  /** The octave of a channel's mean square over {@code rows} symbols. */
  static int octave(int energy, int rows) {
    int mean = (int) (((long) energy << FRACTION_BITS) / rows);
    return Math.min(Integer.SIZE - Integer.numberOfLeadingZeros(mean), OCTAVES - 1);
  }

  /** Where the counts of an octave begin; the symbol, as 0 to 255, is added. */
  static int countsOf(int octave) {
    return octave * SYMBOLS;
  }

  /** Begins to count. */
  int[] counts() {
    Arrays.fill(counts, 0);
    return counts;
  }

  int classes() {
    return classes;
  }

  int classOf(int octave) {
    return classOf[octave];
  }

  /** Where the entries of a class begin, in {@link #entries}. */
  static int entriesOf(int number) {
    return number * SYMBOLS;
  }

  /** Where the slots of a class begin, in {@link #slots}. */
  static int slotsOf(int number) {
    return number * RansKernels.TOTAL;
  }

  /** Makes classes of what was counted. */
  void classify() {
    classes = 0;
    for (int octave = 0; octave < OCTAVES; octave++) {
      if (total(octave) > 0) {
        cost[classes] = cost(counts, countsOf(octave));
        members[classes++] = octave;
      }
      classOf[octave] = classes - 1; // of octaves without channels, nobody asks
    }
    while (classes > 1 && mergeBest()) {
      // one class fewer
    }
  }

  private int total(int octave) {
    int total = 0;
    for (int symbol = 0; symbol < SYMBOLS; symbol++) {
      total += counts[countsOf(octave) + symbol];
    }
    return total;
  }

  /** Merges the two neighbours that save most by it; false when none do, and there are not too many. */
  private boolean mergeBest() {
    int best = -1;
    double mostSaved = classes > MOST ? Double.NEGATIVE_INFINITY : 0;
    double bestCost = 0;
    for (int i = 0; i + 1 < classes; i++) {
      for (int symbol = 0; symbol < SYMBOLS; symbol++) {
        merged[symbol] = counts[countsOf(members[i]) + symbol] + counts[countsOf(members[i + 1]) + symbol];
      }
      double together = cost(merged, 0);
      double saved = cost[i] + cost[i + 1] - together;
      if (saved >= mostSaved) {
        best = i;
        mostSaved = saved;
        bestCost = together;
      }
    }
    if (best < 0) {
      return false;
    }
    for (int symbol = 0; symbol < SYMBOLS; symbol++) {
      counts[countsOf(members[best]) + symbol] += counts[countsOf(members[best + 1]) + symbol];
    }
    cost[best] = bestCost;
    classes--;
    System.arraycopy(members, best + 2, members, best + 1, classes - best - 1);
    System.arraycopy(cost, best + 2, cost, best + 1, classes - best - 1);
    for (int octave = 0; octave < OCTAVES; octave++) {
      classOf[octave] -= classOf[octave] > best ? 1 : 0;
    }
    return true;
  }

  /** Bits of symbols with these counts, table included. */
  private static double cost(int[] counts, int from) {
    int total = 0;
    double bits = 0;
    int lowest = SYMBOLS;
    int highest = 0;
    for (int symbol = 0; symbol < SYMBOLS; symbol++) {
      int count = counts[from + (symbol ^ 0x80)];
      if (count > 0) {
        total += count;
        bits -= count * log2(count);
        lowest = Math.min(lowest, symbol);
        highest = symbol;
      }
    }
    return bits + total * log2(total) + Byte.SIZE * (2 + 1.25 * (highest - lowest + 1));
  }

  /** The same on every machine, unlike {@link Math#log}, and faster than {@link StrictMath#log}. */
  private static double log2(int value) {
    int exponent = Integer.SIZE - 1 - Integer.numberOfLeadingZeros(value);
    double place = (value / (double) (1 << exponent) - 1) * 1024;
    int index = (int) place;
    return exponent + LOG2[index] + (LOG2[Math.min(index + 1, 1024)] - LOG2[index]) * (place - index);
  }

  /** Writes the table of each class, and makes what encoding needs of it. */
  void write(EntropyHead head) {
    for (int number = 0; number < classes; number++) {
      normalize(countsOf(members[number]));
      int lowest = -128;
      int highest = 127;
      while (frequencies[lowest & 0xff] == 0) {
        lowest++;
      }
      while (frequencies[highest & 0xff] == 0) {
        highest--;
      }
      head.put(lowest);
      head.put(highest - lowest);
      int slot = 0;
      for (int symbol = lowest; symbol <= highest; symbol++) {
        int frequency = frequencies[symbol & 0xff];
        head.putVarint(frequency);
        if (frequency > 0) {
          entries[entriesOf(number) + (symbol & 0xff)] = RansKernels.encodingEntry(frequency, slot);
          reciprocals[entriesOf(number) + (symbol & 0xff)] = RansKernels.reciprocal(frequency);
        }
        slot += frequency;
      }
    }
    entries[entriesOf(classes)] = RansKernels.encodingEntry(RansKernels.TOTAL, 0);
    reciprocals[entriesOf(classes)] = RansKernels.reciprocal(RansKernels.TOTAL);
  }

  /** Scales counts so that they sum up to the total; what occurs at all keeps 1. */
  private void normalize(int from) {
    int total = 0;
    for (int symbol = 0; symbol < SYMBOLS; symbol++) {
      total += counts[from + symbol];
    }
    int left = RansKernels.TOTAL;
    for (int symbol = 0; symbol < SYMBOLS; symbol++) {
      long count = counts[from + symbol];
      int frequency = count == 0 ? 0 : (int) Math.max(1, (count * RansKernels.TOTAL + total / 2) / total);
      frequencies[symbol] = frequency;
      left -= frequency;
    }
    while (left != 0) {
      int largest = 0;
      for (int symbol = 1; symbol < SYMBOLS; symbol++) {
        largest = frequencies[symbol] > frequencies[largest] ? symbol : largest;
      }
      // At least half is kept, so that one symbol does not pay for all that were rounded up to 1.
      int change = Math.max(left, -(frequencies[largest] / 2));
      frequencies[largest] += change;
      left -= change;
    }
  }

  /** Reads the tables of {@code number} classes, and makes what decoding needs of them. */
  void read(EntropyHead head, int number) throws MalformedDataException {
    classes = number;
    int needed = slotsOf(number + 1);
    if (slots.length < needed) {
      slots = new int[needed];
    }
    for (int each = 0; each < number; each++) {
      int lowest = (byte) head.get();
      int symbols = head.get() + 1;
      if (lowest + symbols > 128) {
        throw new MalformedDataException("a table of " + symbols + " symbols begins with " + lowest);
      }
      int slot = 0;
      for (int symbol = lowest; symbol < lowest + symbols; symbol++) {
        int frequency = head.getVarint();
        if (frequency < 0 || frequency > RansKernels.TOTAL - slot) {
          throw new MalformedDataException(
              "the frequencies of a table sum up to more than " + RansKernels.TOTAL);
        }
        fill(slotsOf(each) + slot, symbol, frequency);
        slot += frequency;
      }
      if (slot != RansKernels.TOTAL) {
        throw new MalformedDataException(
            "the frequencies of a table sum up to " + slot + ", must to " + RansKernels.TOTAL);
      }
    }
    fill(slotsOf(number), 0, RansKernels.TOTAL);
  }

  private void fill(int from, int symbol, int frequency) {
    for (int offset = 0; offset < frequency; offset++) {
      slots[from + offset] = RansKernels.decodingEntry(symbol, frequency, offset);
    }
  }
}
