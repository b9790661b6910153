package io.kvcache.spi;

import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Decides for every segment which tier holds it, in which encoding, or that it is not stored.
 *
 * <p>A deterministic state machine: no I/O, no clock, no randomness of its own. Threads: the cache calls one method
 * at a time.
 */
public interface PlacementPolicy {
  /**
   * A tier as a policy knows it.
   *
   * @param name for messages
   * @param capacityBytes hard limit; {@link Long#MAX_VALUE} where there is none
   * @param traits what is lastingly true of it
   */
  record TierInfo(String name, long capacityBytes, Set<TierTrait> traits) {}

  /**
   * Called once, before everything else.
   *
   * @param tiers fastest first
   * @param codecs numbers of the encodings there are
   * @throws IllegalArgumentException when the policy cannot work with these
   */
  void start(List<TierInfo> tiers, List<Integer> codecs);

  /**
   * Where new KV goes first; empty not to store it.
   *
   * @param parent the segment it continues; null at the start of a context
   * @param chunks chunks to be stored
   * @param nowNanos time on the cache's clock
   */
  Optional<Placement> admit(SegmentView parent, int chunks, long nowNanos);

  /** Takes note of what happened; returns what should be done about it at leisure, such as a promotion. */
  List<Move> on(PlacementEvent event, long nowNanos);

  /**
   * What to do so that {@code bytes} become free in a tier, in order. Asked again when more is needed.
   *
   * @param tier index of the tier
   * @param bytes to be freed, at least 1
   * @param nowNanos time on the cache's clock
   * @return operations that free as much, or as much as is possible; never on a busy segment
   */
  List<Move> plan(int tier, long bytes, long nowNanos);

  /**
   * How a segment is encoded when the caller wants it kept in a durable tier.
   *
   * @param tier index of the durable tier
   * @return number of the encoding
   */
  int persistAs(SegmentView segment, int tier);
}
