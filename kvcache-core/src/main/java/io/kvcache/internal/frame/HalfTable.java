package io.kvcache.internal.frame;

import io.kvcache.KvHalf;
import io.kvcache.internal.prune.Kept;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.MemorySegment;

/**
 * What a header says about every half, layer by layer, keys before values, 16 bytes each: u64 stored length, u32
 * CRC32C of the stored bytes, u32 CRC32C of the content, which is what the engine gave to be stored.
 *
 * <p>Threads: different halves may be set by different threads.
 */
final class HalfTable {
  private static final int ENTRY_BYTES = 16;

  private final MemorySegment entries;

  /** A view of the table in a header. */
  HalfTable(MemorySegment entries) {
    this.entries = entries;
  }

  /** An empty table. */
  HalfTable(FramePlan plan) {
    this(MemorySegment.ofArray(new byte[(int) bytes(plan)]));
  }

  static long bytes(FramePlan plan) {
    return plan.layers() * 2L * ENTRY_BYTES;
  }

  static int index(int layer, KvHalf half) {
    return layer * 2 + (half == KvHalf.KEYS ? 0 : 1);
  }

  private static long at(int layer, KvHalf half) {
    return (long) index(layer, half) * ENTRY_BYTES;
  }

  void set(int layer, KvHalf half, long storedBytes, int storedCrc, int contentCrc) {
    long at = at(layer, half);
    entries.set(Wire.LONG, at, storedBytes);
    entries.set(Wire.INT, at + 8, storedCrc);
    entries.set(Wire.INT, at + 12, contentCrc);
  }

  /** Bytes of a half as it is stored; 0 for a half without elements, or one not yet set. */
  long storedBytes(int layer, KvHalf half) {
    return entries.get(Wire.LONG, at(layer, half));
  }

  int storedCrc(int layer, KvHalf half) {
    return entries.get(Wire.INT, at(layer, half) + 8);
  }

  int contentCrc(int layer, KvHalf half) {
    return entries.get(Wire.INT, at(layer, half) + 12);
  }

  void copyTo(MemorySegment target) {
    MemorySegment.copy(entries, 0, target, 0, entries.byteSize());
  }

  /**
   * Checks that the halves of a group fill its part: none missing, none too long, nothing behind the last.
   *
   * @param kept the tokens that are kept; null for all
   * @param offsets gets where in its part each half starts, which is not written down: at the next multiple of 64
   *     behind the one before it; indexed by layer and half
   */
  void requireDense(FramePlan plan, Kept kept, int group, long partBytes, long[] offsets)
      throws MalformedDataException {
    long end = Preamble.BYTES;
    int first = plan.firstLayer(group);
    for (int layer = first; layer < first + plan.layersOf(group); layer++) {
      for (KvHalf half : KvHalf.values()) {
        long stored = storedBytes(layer, half);
        if (plan.shape(kept, layer, half) == null) {
          Preamble.require(stored == 0 && storedCrc(layer, half) == 0 && contentCrc(layer, half) == 0,
              "%s of layer %d have no elements, but %d bytes", half, layer, stored);
        } else {
          long start = Wire.align64(end);
          Preamble.require(stored > 0 && stored <= partBytes - start,
              "%s of layer %d start at %d, %d bytes long, in a part of %d", half, layer, start, stored,
              partBytes);
          offsets[index(layer, half)] = start;
          end = start + stored;
        }
      }
    }
    Preamble.require(end == partBytes, "part %d has %d bytes, its halves end at %d", 1 + group, partBytes,
        end);
  }
}
