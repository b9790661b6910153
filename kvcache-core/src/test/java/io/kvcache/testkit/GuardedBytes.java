package io.kvcache.testkit;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** A segment with canaries on both sides, so that whoever writes outside it is found out. */
public final class GuardedBytes {
  private static final byte CANARY = (byte) 0xa5;
  private static final int MARGIN = 64;

  /** Where a segment lies: native and heap ones, at offsets that suit no element type. */
  public enum Place {
    /** Off the heap, aligned. */
    NATIVE(0),
    /** Off the heap, at an odd address. */
    NATIVE_UNALIGNED(3),
    /** In a byte array, at an odd offset. */
    HEAP_UNALIGNED(1);

    private final int offset;

    Place(int offset) {
      this.offset = offset;
    }
  }

  private final MemorySegment outer;
  private final long from;
  private final long bytes;

  /**
   * So many bytes.
   *
   * @param arena where native ones come from; may be null for a place on the heap
   */
  public GuardedBytes(Place place, Arena arena, long bytes) {
    long all = bytes + 2 * MARGIN + place.offset;
    outer = place == Place.HEAP_UNALIGNED
        ? MemorySegment.ofArray(new byte[Math.toIntExact(all)])
        : arena.allocate(all, 8);
    outer.fill(CANARY);
    from = MARGIN + place.offset;
    this.bytes = bytes;
  }

  /** The bytes themselves, which begin as canaries too. */
  public MemorySegment inner() {
    return outer.asSlice(from, bytes);
  }

  /** Fails when anything around them has changed. */
  public void check() {
    assertEquals(-1, outer.asSlice(0, from).mismatch(canaries(from)), "canary before the segment");
    long rest = outer.byteSize() - from - bytes;
    assertEquals(-1, outer.asSlice(from + bytes).mismatch(canaries(rest)), "canary after the segment");
  }

  private static MemorySegment canaries(long count) {
    return MemorySegment.ofArray(new byte[Math.toIntExact(count)]).fill(CANARY);
  }
}
