package io.kvcache.spi;

import java.io.IOException;
import java.lang.foreign.MemorySegment;

/**
 * Space claimed in a tier for one entry that nobody can read yet.
 *
 * <p>Ownership: the segments of {@link #part} belong to the tier and are the caller's to fill until
 * {@link #commit} or {@link #close}. Threads: different threads may fill different bytes; commit and close are
 * called once filling is over.
 */
public interface TierWrite extends AutoCloseable {
  /**
   * The memory of one part: at least as long as was claimed for it, at an address that is a multiple of 64, of
   * undefined content.
   */
  MemorySegment part(int index);

  /**
   * Publishes the entry, replacing an older one of the same id, all parts or none.
   *
   * @param partBytes length of each part, at most what was claimed for it; the tier takes the rest back
   * @throws IOException when the medium fails; the entry is then not stored, an older one of this id may be gone
   */
  void commit(long[] partBytes) throws IOException;

  /** Gives the space back unless committed. Idempotent; never throws. */
  @Override
  void close();
}
