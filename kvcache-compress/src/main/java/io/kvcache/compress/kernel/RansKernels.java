package io.kvcache.compress.kernel;

import java.math.BigInteger;

/**
 * The inner loops of a range coder with static frequencies (range ANS: Duda, "Asymmetric numeral systems", 2013). Four
 * coders take turns over one stream of words. Each has a state of 63 bits, codes two symbols, one of each strand, and
 * then reads a word of 32 bits if it has less than 32 bits left: one look at the stream for two symbols, and none of
 * these steps is a branch that could be mispredicted.
 */
public final class RansKernels {
  /** Bits of a frequency: those of a table sum up to 2 to the power of it. */
  public static final int FREQUENCY_BITS = 12;

  /** What the frequencies of a table sum up to. */
  public static final int TOTAL = 1 << FREQUENCY_BITS;

  /** States are at least this, and less than its 2³²-fold, before each pair of symbols; encoding begins with it. */
  public static final long LEAST_STATE = 1L << 31;

  /** Coders that take turns. */
  public static final int STATES = 4;

  private static final int MASK = TOTAL - 1;
  private static final long WORD = 0xffffffffL;
  private static final int BIAS_BITS = FREQUENCY_BITS + 1;
  private static final int BIAS_MASK = (1 << BIAS_BITS) - 1;
  private static final int FREQUENCY_SHIFT = BIAS_BITS + 4;

  /** {@code x >>> (63 − 2 · 12)} below the product of two frequencies: the state still has room for both symbols. */
  private static final int ROOM_SHIFT = 63 - 2 * FREQUENCY_BITS;

  /** For {@code d} from 2: 2 to the power of {@code 63 + ⌈log2 d⌉}, divided by {@code d}, rounded up. */
  private static final long[] RECIPROCALS = reciprocals();

  private RansKernels() {}

  private static long[] reciprocals() {
    long[] reciprocals = new long[TOTAL + 1];
    reciprocals[1] = -1;
    for (int d = 2; d <= TOTAL; d++) {
      BigInteger divisor = BigInteger.valueOf(d);
      BigInteger power = BigInteger.ONE.shiftLeft(63 + ceilLog2(d));
      reciprocals[d] = power.add(divisor).subtract(BigInteger.ONE).divide(divisor).longValue();
    }
    return reciprocals;
  }

  private static int ceilLog2(int d) {
    return Integer.SIZE - Integer.numberOfLeadingZeros(d - 1);
  }

  /** The entry of a decoding table for a slot that lies {@code offset} behind the first one of its symbol. */
  public static int decodingEntry(int symbol, int frequency, int offset) {
    return (symbol & 0xff) | frequency - 1 << 8 | offset << 8 + FREQUENCY_BITS;
  }

  /**
   * Decodes {@code 2 · n} symbols.
   *
   * @param table decoding tables, one behind the other
   * @param firstBase where in {@code table} that of each symbol of the first strand begins
   * @param words what is read from, from {@code at} on; at least {@code n} words
   * @param states of the four coders, taken and left here
   * @param first symbols of the first strand, 0 to 255
   * @param n symbols of each strand, a multiple of 4
   * @return the position behind the last word read, at most {@code at + n}
   */
  public static int decode(int[] table, int[] firstBase, int[] secondBase, int[] words, int at, long[] states,
      int[] first, int[] second, int n) {
    long a = states[0];
    long b = states[1];
    long c = states[2];
    long d = states[3];
    int p = at;
    for (int i = 0; i < n; i += 4) {
      int ea = table[firstBase[i] + ((int) a & MASK)];
      int eb = table[firstBase[i + 1] + ((int) b & MASK)];
      int ec = table[firstBase[i + 2] + ((int) c & MASK)];
      int ed = table[firstBase[i + 3] + ((int) d & MASK)];
      first[i] = ea & 0xff;
      first[i + 1] = eb & 0xff;
      first[i + 2] = ec & 0xff;
      first[i + 3] = ed & 0xff;
      a = advance(a, ea);
      b = advance(b, eb);
      c = advance(c, ec);
      d = advance(d, ed);
      ea = table[secondBase[i] + ((int) a & MASK)];
      eb = table[secondBase[i + 1] + ((int) b & MASK)];
      ec = table[secondBase[i + 2] + ((int) c & MASK)];
      ed = table[secondBase[i + 3] + ((int) d & MASK)];
      second[i] = ea & 0xff;
      second[i + 1] = eb & 0xff;
      second[i + 2] = ec & 0xff;
      second[i + 3] = ed & 0xff;
      a = advance(a, ea);
      b = advance(b, eb);
      c = advance(c, ec);
      d = advance(d, ed);
      long need = a - LEAST_STATE >>> 63;
      a = a << (need << 5) | words[p] & WORD & -need;
      p += (int) need;
      need = b - LEAST_STATE >>> 63;
      b = b << (need << 5) | words[p] & WORD & -need;
      p += (int) need;
      need = c - LEAST_STATE >>> 63;
      c = c << (need << 5) | words[p] & WORD & -need;
      p += (int) need;
      need = d - LEAST_STATE >>> 63;
      d = d << (need << 5) | words[p] & WORD & -need;
      p += (int) need;
    }
    states[0] = a;
    states[1] = b;
    states[2] = c;
    states[3] = d;
    return p;
  }

  /** The state behind a symbol: {@code frequency · ⌊state / total⌋ + offset}. */
  private static long advance(long state, int entry) {
    return (state >>> FREQUENCY_BITS) * ((entry >>> 8 & MASK) + 1) + (entry >>> 8 + FREQUENCY_BITS);
  }

  /**
   * What {@link #encode} needs to know of a symbol, beside its {@link #reciprocal}: its frequency, by how much the
   * product with the reciprocal is shifted, and what is added in the end.
   */
  public static int encodingEntry(int frequency, int firstSlot) {
    int shift = frequency == 1 ? 0 : ceilLog2(frequency) - 1;
    int bias = frequency == 1 ? firstSlot + MASK : firstSlot;
    return frequency << FREQUENCY_SHIFT | shift << BIAS_BITS | bias;
  }

  /** By which a state is multiplied to divide it by {@code frequency}, 1 to {@value #TOTAL}. */
  public static long reciprocal(int frequency) {
    return RECIPROCALS[frequency];
  }

  /**
   * Encodes {@code 2 · n} symbols, the last one first, so that {@link #decode} finds them in order.
   *
   * @param entries encoding entries, 256 for each table
   * @param firstBase where in {@code entries} those of each symbol of the first strand begin
   * @param first symbols, from {@code from} on
   * @param words written from {@code at} downwards; the word before the last one written may be overwritten
   * @param n symbols of each strand, a multiple of 4
   * @return the position of the last word written
   */
  public static int encode(int[] entries, long[] reciprocals, int[] firstBase, int[] secondBase, byte[] first,
      byte[] second, int from, int[] words, int at, long[] states, int n) {
    long a = states[0];
    long b = states[1];
    long c = states[2];
    long d = states[3];
    int p = at;
    for (int i = n - 4; i >= 0; i -= 4) {
      int f = firstBase[i + 3] + (first[from + i + 3] & 0xff);
      int s = secondBase[i + 3] + (second[from + i + 3] & 0xff);
      long full = overflows(d, entries[f], entries[s]);
      words[p - 1] = (int) d;
      p -= (int) full;
      d = push(push(d >>> (full << 5), entries[s], reciprocals[s]), entries[f], reciprocals[f]);
      f = firstBase[i + 2] + (first[from + i + 2] & 0xff);
      s = secondBase[i + 2] + (second[from + i + 2] & 0xff);
      full = overflows(c, entries[f], entries[s]);
      words[p - 1] = (int) c;
      p -= (int) full;
      c = push(push(c >>> (full << 5), entries[s], reciprocals[s]), entries[f], reciprocals[f]);
      f = firstBase[i + 1] + (first[from + i + 1] & 0xff);
      s = secondBase[i + 1] + (second[from + i + 1] & 0xff);
      full = overflows(b, entries[f], entries[s]);
      words[p - 1] = (int) b;
      p -= (int) full;
      b = push(push(b >>> (full << 5), entries[s], reciprocals[s]), entries[f], reciprocals[f]);
      f = firstBase[i] + (first[from + i] & 0xff);
      s = secondBase[i] + (second[from + i] & 0xff);
      full = overflows(a, entries[f], entries[s]);
      words[p - 1] = (int) a;
      p -= (int) full;
      a = push(push(a >>> (full << 5), entries[s], reciprocals[s]), entries[f], reciprocals[f]);
    }
    states[0] = a;
    states[1] = b;
    states[2] = c;
    states[3] = d;
    return p;
  }

  /** 1 where a state has no room for two more symbols, else 0. */
  private static long overflows(long state, int first, int second) {
    return (long) (first >>> FREQUENCY_SHIFT) * (second >>> FREQUENCY_SHIFT) - 1 - (state >>> ROOM_SHIFT)
        >>> 63;
  }

  /**
   * The state from which decoding a symbol leads back to {@code x}: {@code ⌊x / frequency⌋ · total + first slot +
   * x mod frequency}. The quotient is exact for states below 2⁶³ (Alverson, "Integer division using reciprocals",
   * 1991), but for a frequency of 1, where it is one too small and the bias makes up for it.
   */
  private static long push(long x, int entry, long reciprocal) {
    long quotient = Math.unsignedMultiplyHigh(x, reciprocal) >>> (entry >>> BIAS_BITS & 15);
    return x + quotient * (TOTAL - (entry >>> FREQUENCY_SHIFT)) + (entry & BIAS_MASK);
  }
}
