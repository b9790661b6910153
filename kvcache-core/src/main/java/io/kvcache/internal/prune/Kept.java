package io.kvcache.internal.prune;

import io.kvcache.KvLayout;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/**
 * Which tokens of one chunk are kept, for every layer and KV head; as many in all heads of a layer. Immutable. Its
 * encoding is mode 2 of the positions in {@code FORMAT.md}; mode 1 where it was made to be the same in all of them.
 */
public final class Kept {
  private final int chunkTokens;
  private final long[][][] bitmaps;
  private final int[] counts;
  private final boolean uniform;

  private Kept(int chunkTokens, long[][][] bitmaps, int[] counts, boolean uniform) {
    this.chunkTokens = chunkTokens;
    this.bitmaps = bitmaps;
    this.counts = counts;
    this.uniform = uniform;
  }

  /**
   * The tokens of these bitmaps.
   *
   * @param bitmaps {@code [layer][kvHead]}, as from {@link Selection#select}; not to be changed afterwards
   * @throws IllegalArgumentException when they do not fit the layout, or heads of a layer differ in number
   */
  public static Kept of(KvLayout layout, long[][][] bitmaps) {
    if (bitmaps.length != layout.layers().size()) {
      throw new IllegalArgumentException(
          bitmaps.length + " layers of kept tokens, the layout has " + layout.layers().size());
    }
    int[] counts = new int[bitmaps.length];
    for (int layer = 0; layer < bitmaps.length; layer++) {
      int heads = layout.layer(layer).kvHeads();
      if (bitmaps[layer].length != heads) {
        throw new IllegalArgumentException(
            "layer " + layer + " has kept tokens for " + bitmaps[layer].length + " heads, not " + heads);
      }
      for (long[] bitmap : bitmaps[layer]) {
        requireRoom(bitmap, layout.chunkTokens());
      }
      counts[layer] = count(bitmaps[layer][0]);
      int other = otherCount(bitmaps[layer]);
      if (other >= 0) {
        throw new IllegalArgumentException(differ(layer, counts[layer], other));
      }
    }
    return new Kept(layout.chunkTokens(), bitmaps, counts, false);
  }

  /**
   * The tokens of one bitmap, in all layers and heads.
   *
   * @param bitmap as one from {@link Selection#select}; not to be changed afterwards
   * @throws IllegalArgumentException when it does not fit the layout
   */
  public static Kept uniform(KvLayout layout, long[] bitmap) {
    requireRoom(bitmap, layout.chunkTokens());
    long[][][] bitmaps = new long[layout.layers().size()][][];
    for (int layer = 0; layer < bitmaps.length; layer++) {
      bitmaps[layer] = new long[layout.layer(layer).kvHeads()][];
      Arrays.fill(bitmaps[layer], bitmap);
    }
    int[] counts = new int[bitmaps.length];
    Arrays.fill(counts, count(bitmap));
    return new Kept(layout.chunkTokens(), bitmaps, counts, true);
  }

  private static void requireRoom(long[] bitmap, int chunkTokens) {
    boolean fits = bitmap.length == words(chunkTokens)
        && (chunkTokens >= Long.SIZE || bitmap[0] >>> chunkTokens == 0);
    if (!fits) {
      throw new IllegalArgumentException("a bitmap is not one of " + chunkTokens + " tokens");
    }
  }

  /**
   * The tokens of each chunk of a run.
   *
   * @param selected {@code [layer]}, what {@link Selection#select} made of each
   */
  public static Kept[] perChunk(KvLayout layout, long[][][][] selected) {
    Kept[] chunks = new Kept[selected[0].length];
    for (int chunk = 0; chunk < chunks.length; chunk++) {
      long[][][] bitmaps = new long[selected.length][][];
      for (int layer = 0; layer < bitmaps.length; layer++) {
        bitmaps[layer] = selected[layer][chunk];
      }
      chunks[chunk] = of(layout, bitmaps);
    }
    return chunks;
  }

  /** Whether it was made to be the same in all layers and heads. */
  public boolean uniform() {
    return uniform;
  }

  /** Tokens kept in each head of a layer, 0 to all. */
  public int count(int layer) {
    return counts[layer];
  }

  /** Offsets within the chunk of what a head keeps, ascending; a fresh array. */
  public int[] positions(int layer, int kvHead) {
    int[] positions = new int[counts[layer]];
    long[] bitmap = bitmaps[layer][kvHead];
    int found = 0;
    for (int word = 0; word < bitmap.length; word++) {
      for (long rest = bitmap[word]; rest != 0; rest &= rest - 1) {
        positions[found++] = word * Long.SIZE + Long.numberOfTrailingZeros(rest);
      }
    }
    return positions;
  }

  /** A bit for each token of the chunk; not to be changed. */
  long[] bitmap(int layer, int kvHead) {
    return bitmaps[layer][kvHead];
  }

  /** Bytes of the encoding, for every chunk of this layout. */
  public static long encodedBytes(KvLayout layout, boolean uniform) {
    long bitmaps = uniform ? 1 : layout.layers().stream().mapToLong(layer -> layer.kvHeads()).sum();
    return bitmaps * (layout.chunkTokens() / Byte.SIZE);
  }

  /** Writes the encoding at {@code offset}. */
  public void writeTo(MemorySegment target, long offset) {
    if (uniform) {
      write(bitmaps[0][0], target, offset);
      return;
    }
    long at = offset;
    for (long[][] heads : bitmaps) {
      for (long[] bitmap : heads) {
        at = write(bitmap, target, at);
      }
    }
  }

  private long write(long[] bitmap, MemorySegment target, long offset) {
    int bytes = chunkTokens / Byte.SIZE;
    for (int i = 0; i < bytes; i++) {
      target.set(ValueLayout.JAVA_BYTE, offset + i, (byte) (bitmap[i / Long.BYTES] >>> i * Byte.SIZE));
    }
    return offset + bytes;
  }

  /**
   * Reads an encoding of {@link #encodedBytes} bytes at {@code offset}.
   *
   * @throws MalformedDataException when there are fewer bytes, or heads of a layer differ in number
   */
  public static Kept read(KvLayout layout, boolean uniform, MemorySegment source, long offset)
      throws MalformedDataException {
    long bytes = encodedBytes(layout, uniform);
    if (offset < 0 || source.byteSize() - offset < bytes) {
      throw new MalformedDataException(
          "kept positions take " + bytes + " bytes from " + offset + " on, of " + source.byteSize());
    }
    if (uniform) {
      return uniform(layout, bitmap(layout.chunkTokens(), source, offset));
    }
    long[][][] bitmaps = new long[layout.layers().size()][][];
    int[] counts = new int[bitmaps.length];
    long at = offset;
    for (int layer = 0; layer < bitmaps.length; layer++) {
      bitmaps[layer] = new long[layout.layer(layer).kvHeads()][];
      for (int head = 0; head < bitmaps[layer].length; head++) {
        bitmaps[layer][head] = bitmap(layout.chunkTokens(), source, at);
        at += layout.chunkTokens() / Byte.SIZE;
      }
      counts[layer] = count(bitmaps[layer][0]);
      int other = otherCount(bitmaps[layer]);
      if (other >= 0) {
        throw new MalformedDataException(differ(layer, counts[layer], other));
      }
    }
    return new Kept(layout.chunkTokens(), bitmaps, counts, false);
  }

  private static long[] bitmap(int chunkTokens, MemorySegment source, long offset) {
    long[] bitmap = new long[words(chunkTokens)];
    for (int i = 0; i < chunkTokens / Byte.SIZE; i++) {
      bitmap[i / Long.BYTES] |= (source.get(ValueLayout.JAVA_BYTE, offset + i) & 0xffL) << i * Byte.SIZE;
    }
    return bitmap;
  }

  private static int words(int chunkTokens) {
    return (chunkTokens + Long.SIZE - 1) / Long.SIZE;
  }

  private static int count(long[] bitmap) {
    int count = 0;
    for (long word : bitmap) {
      count += Long.bitCount(word);
    }
    return count;
  }

  /** The number that some head keeps and the first does not; -1 when all keep the same. */
  private static int otherCount(long[][] heads) {
    int first = count(heads[0]);
    for (long[] bitmap : heads) {
      int other = count(bitmap);
      if (other != first) {
        return other;
      }
    }
    return -1;
  }

  private static String differ(int layer, int one, int other) {
    return "heads of layer " + layer + " keep " + one + " and " + other + " tokens";
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Kept kept && chunkTokens == kept.chunkTokens && uniform == kept.uniform
        && Arrays.deepEquals(bitmaps, kept.bitmaps);
  }

  @Override
  public int hashCode() {
    return 31 * chunkTokens + Arrays.deepHashCode(bitmaps);
  }

  @Override
  public String toString() {
    return "Kept[of " + chunkTokens + (uniform ? ", uniformly" : "") + ", by layer " + Arrays.toString(counts)
        + "]";
  }
}
