package io.kvcache.internal.engine;

import io.kvcache.ChunkKey;
import io.kvcache.TokenScores;
import io.kvcache.internal.tree.Segment;
import io.kvcache.spi.Placement;
import java.util.List;
import java.util.Optional;

/**
 * What a claim for storing got.
 *
 * @param root of the namespace
 * @param keys of the context up to the last chunk claimed
 * @param first index of the first chunk claimed
 * @param missing for each chunk from there on, whether it has to be stored
 * @param held what keeps the prefix in place; null at the start of a context
 * @param placement where the chunks go; empty when the policy declines
 * @param scores what is given of their tokens
 * @param expiryMillis when they will expire; {@link io.kvcache.internal.tree.Stored#NEVER}
 */
record Claim(ChunkKey root, List<ChunkKey> keys, int first, boolean[] missing, Segment held,
    Optional<Placement> placement, TokenScores scores, long expiryMillis) {
  /** The keys of the chunks claimed. */
  List<ChunkKey> claimed() {
    return keys.subList(first, keys.size());
  }

  /** Whether of this context and the other one goes on where the other ends. */
  boolean inLineWith(List<ChunkKey> other) {
    int shorter = Math.min(keys.size(), other.size());
    return shorter > 0 && keys.get(shorter - 1).equals(other.get(shorter - 1));
  }
}
