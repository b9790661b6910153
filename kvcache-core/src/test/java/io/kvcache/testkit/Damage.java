package io.kvcache.testkit;

import java.util.Arrays;
import java.util.SplittableRandom;

/** Ways in which stored bytes go wrong, drawn from a generator: the same seed gives the same damage. */
public final class Damage {
  /** Half of all damage is done here, where lengths and modes live. */
  private static final int NEAR_START = 48;
  private static final int MOST_EXTRA = 300;

  private final SplittableRandom random;

  /** Drawn from this generator. */
  public Damage(SplittableRandom random) {
    this.random = random;
  }

  /**
   * A damaged copy; now and then bytes that have nothing to do with it.
   *
   * @param stored what was written
   * @param other what was written of something else, or by another codec; parts of it get in
   */
  public byte[] to(byte[] stored, byte[] other) {
    byte[] damaged = stored;
    for (int times = random.nextInt(1, 4); times > 0; times--) {
      damaged = once(damaged, other);
    }
    return damaged;
  }

  private byte[] once(byte[] bytes, byte[] other) {
    return switch (random.nextInt(10)) {
      case 0, 1 -> flipped(bytes);
      case 2, 3 -> overwritten(bytes, hostile(bytes.length));
      case 4 -> Arrays.copyOf(bytes, random.nextInt(bytes.length + 1));
      case 5 -> extended(bytes);
      case 6 -> spliced(bytes, other);
      case 7 -> shifted(bytes);
      case 8 -> filled(bytes);
      default -> random.nextInt(4) == 0 ? noise(2 * bytes.length + 2) : other;
    };
  }

  private int place(int length) {
    return random.nextInt(Math.max(1, random.nextBoolean() ? Math.min(NEAR_START, length) : length));
  }

  private byte[] flipped(byte[] bytes) {
    byte[] damaged = bytes.clone();
    for (int flips = random.nextInt(1, 4); flips > 0 && bytes.length > 0; flips--) {
      damaged[place(bytes.length)] ^= (byte) (1 << random.nextInt(8));
    }
    return damaged;
  }

  /** A number that a length, a count or an offset might be read from. */
  private long hostile(int length) {
    long[] numbers = {-1, 0, 1, 2, length, length - 1, length + 1, -length, 0x7f, 0x80, 0xff, 0x7fff, 0xffff,
      Integer.MAX_VALUE, Integer.MIN_VALUE, 1 << 30, 1L << 32, Long.MAX_VALUE, Long.MIN_VALUE};
    return numbers[random.nextInt(numbers.length)];
  }

  private byte[] overwritten(byte[] bytes, long number) {
    byte[] damaged = bytes.clone();
    int width = 1 << random.nextInt(4);
    boolean bigEndian = random.nextInt(4) == 0;
    int at = place(bytes.length);
    for (int i = 0; i < width && at + i < damaged.length; i++) {
      damaged[at + i] = (byte) (number >>> 8 * (bigEndian ? width - 1 - i : i));
    }
    return damaged;
  }

  private byte[] extended(byte[] bytes) {
    byte[] damaged = Arrays.copyOf(bytes, bytes.length + random.nextInt(1, MOST_EXTRA));
    byte[] more = random.nextBoolean() ? noise(MOST_EXTRA) : new byte[0];
    System.arraycopy(more, 0, damaged, bytes.length, Math.min(more.length, damaged.length - bytes.length));
    return damaged;
  }

  private byte[] spliced(byte[] bytes, byte[] other) {
    int head = place(bytes.length);
    int tail = other.length == 0 ? 0 : random.nextInt(other.length);
    byte[] damaged = Arrays.copyOf(bytes, head + other.length - tail);
    System.arraycopy(other, tail, damaged, head, other.length - tail);
    return damaged;
  }

  /** Some bytes are missing, or there twice; what follows has moved. */
  private byte[] shifted(byte[] bytes) {
    int from = place(bytes.length);
    int to = Math.min(bytes.length, Math.max(0, from + random.nextInt(-9, 10)));
    byte[] damaged = Arrays.copyOf(bytes, bytes.length + to - from);
    System.arraycopy(bytes, Math.min(from, bytes.length), damaged, to, bytes.length - from);
    return damaged;
  }

  private byte[] filled(byte[] bytes) {
    byte[] damaged = bytes.clone();
    int from = place(bytes.length);
    int to = Math.min(bytes.length, from + random.nextInt(1, 1 + Math.max(1, bytes.length / 2)));
    Arrays.fill(damaged, Math.min(from, to), to, (byte) random.nextInt(256));
    return damaged;
  }

  private byte[] noise(int below) {
    byte[] noise = new byte[random.nextInt(below)];
    random.nextBytes(noise);
    return noise;
  }
}
