package io.kvcache.spi;

import java.lang.foreign.MemorySegment;

/**
 * A reference to an entry in an addressable tier. While it is open the memory is neither reused nor changed,
 * even when the entry is removed or replaced.
 */
public interface TierView extends AutoCloseable {
  /** Parts of the entry. */
  int parts();

  /**
   * One part, read-only, at an address that is a multiple of 64; not to be used after {@link #close}.
   *
   * @throws IndexOutOfBoundsException when the entry has no such part
   */
  MemorySegment part(int index);

  /** Gives the reference back. Idempotent; never throws. */
  @Override
  void close();
}
