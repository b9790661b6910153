package io.kvcache.internal.tree;

import io.kvcache.Encoding;
import io.kvcache.spi.VariantClass;
import io.kvcache.spi.VariantView;
import java.util.Arrays;

/**
 * The chunks of one segment that are in one tier in one encoding. A segment has at most 64 chunks, so which ones are
 * there is one word. Guarded by the cache's lock.
 */
public final class Variant implements VariantView {
  private final int tier;
  private final Encoding encoding;
  private final VariantClass variantClass;
  private long present;
  private long[] generations;
  /** Of each chunk; null while all have {@link #alikeBytes}, as most encodings give. */
  private long[] bytes;

  private long alikeBytes;

  Variant(int tier, Encoding encoding, VariantClass variantClass, int chunks) {
    this.tier = tier;
    this.encoding = encoding;
    this.variantClass = variantClass;
    this.generations = new long[chunks];
  }

  @Override
  public int tier() {
    return tier;
  }

  @Override
  public Encoding encoding() {
    return encoding;
  }

  @Override
  public VariantClass variantClass() {
    return variantClass;
  }

  @Override
  public int chunks() {
    return Long.bitCount(present);
  }

  /** Whether the segment's chunk {@code index} is there. */
  public boolean has(int index) {
    return (present >>> index & 1) != 0;
  }

  /** A bit for each chunk that is there. */
  long present() {
    return present;
  }

  /** Generation of chunk {@code index}. */
  public long generation(int index) {
    return generations[index];
  }

  /** Stored bytes of chunk {@code index}. */
  public long bytes(int index) {
    return !has(index) ? 0 : bytes == null ? alikeBytes : bytes[index];
  }

  @Override
  public long bytes() {
    if (bytes == null) {
      return alikeBytes * chunks();
    }
    long sum = 0;
    for (int index = 0; index < bytes.length; index++) {
      sum += bytes(index);
    }
    return sum;
  }

  void add(int index, long generation, long storedBytes) {
    if (index >= generations.length) {
      int capacity = Math.min(Segment.MAX_CHUNKS, Math.max(index + 1, generations.length * 2));
      generations = Arrays.copyOf(generations, capacity);
      bytes = bytes == null ? null : Arrays.copyOf(bytes, capacity);
    }
    if (present == 0) {
      bytes = null;
      alikeBytes = storedBytes;
    } else if (bytes == null && storedBytes != alikeBytes) {
      bytes = new long[generations.length];
      Arrays.fill(bytes, alikeBytes);
    }
    if (bytes != null) {
      bytes[index] = storedBytes;
    }
    present |= 1L << index;
    generations[index] = generation;
  }

  void remove(int index) {
    present &= ~(1L << index);
  }

  /** Takes the leading {@code count} chunks out, into a new variant. */
  Variant splitOff(int count, int total) {
    Variant upper = new Variant(tier, encoding, variantClass, count);
    for (int index = 0; index < count; index++) {
      if (has(index)) {
        upper.add(index, generations[index], bytes(index));
      }
    }
    generations = Arrays.copyOfRange(Arrays.copyOf(generations, total), count, total);
    bytes = bytes == null ? null : Arrays.copyOfRange(Arrays.copyOf(bytes, total), count, total);
    present >>>= count;
    return upper;
  }
}
