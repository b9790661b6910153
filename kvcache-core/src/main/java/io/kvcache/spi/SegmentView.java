package io.kvcache.spi;

import io.kvcache.ChunkKey;
import io.kvcache.DropMethod;
import java.util.List;

/**
 * A segment of the prefix tree as a policy sees it: a run of consecutive chunks, the unit of decision. The same
 * object stands for the segment as long as it exists; what the methods answer changes with events, and only then.
 */
public interface SegmentView {
  /** Unique among the segments of one cache, for ever. */
  long id();

  /** What the key chain of its namespace starts from: the same for all segments of a namespace. */
  ChunkKey root();

  /** The segment before this one; null when this is the first of its context, or its parent is lost. */
  SegmentView parent();

  /** Whether contexts go on behind this segment. */
  boolean hasChildren();

  /** Index of the first chunk in its context. */
  int firstChunk();

  /** Chunks of the segment, at least 1. */
  int chunks();

  /** Chunks that have an entry in this tier. */
  int chunksIn(int tier);

  /** Bytes stored in this tier. */
  long bytesIn(int tier);

  /** Chunks with an entry in {@code tier} and none in any other. */
  int chunksOnlyIn(int tier);

  /** Its chunks by tier and encoding; each has at least one, a chunk may be in several. */
  List<? extends VariantView> variants();

  /** Whether a look-up or a migration holds it; it must not be moved now. */
  boolean busy();

  /** When a look-up last covered it, on the cache's clock. */
  long lastUseNanos();

  /** Decayed number of uses up to {@code nowNanos}; the creating store counts as 1. */
  double frequency(long nowNanos);

  /** Look-ups that covered it, not decayed; the creating store counts as 1. */
  long uses();

  /** Whether this method can be applied: it needs no scores, or the engine gave them of all tokens. */
  boolean hasScores(DropMethod method);

  /**
   * Quality of the context's answers when of all its segments just this one is encoded so, 0 to 1; NaN when nobody
   * measured. What is lost, 1 minus this, is spread evenly over the segment's chunks: so a split divides it, and
   * what is lost on a path adds up.
   *
   * @param candidate index among the policy's {@link PlacementPolicy#candidates}
   */
  double quality(int candidate);
}
