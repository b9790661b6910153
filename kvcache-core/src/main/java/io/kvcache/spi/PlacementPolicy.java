package io.kvcache.spi;

import io.kvcache.ChunkKey;
import io.kvcache.Encoding;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.LongSupplier;

/**
 * Decides for every segment which tier holds it, in which encoding, or that it is not stored.
 *
 * <p>A deterministic state machine of what it is told and of how full tiers are: no I/O, no clock, no randomness of its
 * own. Threads: the cache calls one method
 * at a time.
 */
public interface PlacementPolicy {
  /**
   * A tier as a policy knows it.
   *
   * @param name for messages
   * @param capacityBytes hard limit; {@link Long#MAX_VALUE} where there is none
   * @param usedBytes how much of it is taken, whenever asked: more than the segments' bytes, as a tier takes whole
   *     pages and has data of its own
   * @param traits what is lastingly true of it
   */
  record TierInfo(String name, long capacityBytes, LongSupplier usedBytes, Set<TierTrait> traits) {}

  /**
   * What a policy has to do with.
   *
   * @param tiers fastest first
   * @param codings the encodings there are, and what is known of them before anything is stored
   * @param chunkTokens tokens of a chunk
   * @param frequencyHalfLifeNanos time in which a use comes to count half; the same for all segments, so that time
   *     alone never changes the order of their frequencies
   */
  record CacheInfo(List<TierInfo> tiers, Codings codings, int chunkTokens, long frequencyHalfLifeNanos) {}

  /**
   * Called once, before everything else.
   *
   * @throws IllegalArgumentException when the policy cannot work with these
   */
  void start(CacheInfo cache);

  /**
   * The lossy encodings whose quality the policy wants to know for each context; always the same list once started.
   * Empty where decisions do not rest on quality.
   */
  default List<Encoding> candidates() {
    return List.of();
  }

  /** Whether decisions rest on delays: then tiers and codecs are measured, for a moment, when the cache is opened. */
  default boolean weighsDelays() {
    return false;
  }

  /**
   * Where new KV goes first; empty not to store it. An encoding that drops tokens is applied right after the store,
   * since which tokens can be told only when all are there. What this tier could never hold, as it is stored first,
   * goes to the next lower one that can.
   *
   * @param root what the namespace's key chain starts from
   * @param parent the segment it continues; null at the start of a context
   * @param chunks chunks to be stored
   * @param nowNanos time on the cache's clock
   */
  Optional<Placement> admit(ChunkKey root, SegmentView parent, int chunks, long nowNanos);

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
   * How a segment is encoded in a tier that it goes to for another reason than the policy's: a durable one, for a
   * flush, or the next one, out of the quota of its namespace.
   *
   * @param tier index of that tier
   */
  Encoding persistAs(SegmentView segment, int tier);

  /**
   * What the policy could do with a segment, the present state among it, and why it is as it is; changes nothing.
   *
   * @param nowNanos time on the cache's clock
   */
  default Verdict explain(SegmentView segment, long nowNanos) {
    return new Verdict(List.of(), "this policy does not weigh alternatives");
  }

  /**
   * Why a segment is where it is.
   *
   * @param options every alternative considered, best first
   * @param reason one sentence on the present state
   */
  record Verdict(List<Option> options, String reason) {
    /** Copies the list. */
    public Verdict {
      options = List.copyOf(options);
    }
  }

  /**
   * One alternative for a segment.
   *
   * @param placement where and how encoded; empty for not storing it
   * @param bytes bytes it takes there, measured or expected
   * @param quality of the context's answers, 0 to 1
   * @param delaySeconds until its KV is there, by loading or computing
   * @param utility {@code (alpha · quality − delay) · frequency}
   * @param present whether it is so now
   */
  record Option(Optional<Placement> placement, long bytes, double quality, double delaySeconds,
      double utility,
      boolean present) {}
}
