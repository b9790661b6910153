package io.kvcache;

import java.lang.foreign.MemorySegment;

/**
 * Space for the chunks of a prompt that are not stored yet. What is written is invisible until {@link #commit}.
 *
 * <p>Ownership: the reservation belongs to the caller, who must close it; unless committed, closing gives everything
 * back. Threads: different layers may be written by different threads; commit and close come after.
 */
public interface KvReservation extends AutoCloseable {
  /** What became of the request. */
  enum Status {
    /** Space is claimed: write every layer, then commit. */
    RESERVED,
    /** Every full chunk is there already, or the prompt has none. */
    STORED,
    /** Another reservation is storing the first missing chunk right now. */
    PENDING,
    /** There is no room now; try again later, or not: no tier holds a prompt that is larger than it. */
    FULL,
    /**
     * The namespace's quota leaves no room in the tier now. Its own contexts make some in the background; not where the
     * prompt alone is larger than the quota.
     */
    QUOTA,
    /** The policy says this is not worth storing. */
    DECLINED
  }

  /** What became of the request. For all but {@link Status#RESERVED} the other methods do nothing. */
  Status status();

  /** Position of the first token to write; everything before it is stored. */
  int firstToken();

  /** Tokens to write, whole chunks; 0 unless reserved. */
  int tokens();

  /**
   * Writes one layer of the reserved tokens; each layer exactly once, in any order. The bytes are copied or encoded
   * before this returns, and their checksums computed here, at the producer.
   *
   * @param layer index from 0
   * @param keys exactly {@link #tokens} key rows
   * @param values exactly {@link #tokens} value rows
   * @throws IllegalArgumentException when there is no such layer, a segment has another size, or the layer was written
   * @throws IllegalStateException after commit or close
   */
  void write(int layer, MemorySegment keys, MemorySegment values);

  /**
   * Makes all chunks visible, in one step.
   *
   * @return whether they are stored; not when a tier failed, or they or the prefix were removed meanwhile
   * @throws IllegalStateException when a layer was not written, or after commit or close
   */
  boolean commit();

  /** Gives everything back unless committed. Idempotent; never throws. */
  @Override
  void close();
}
