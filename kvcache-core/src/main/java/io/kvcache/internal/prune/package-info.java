/**
 * Token dropping: which tokens of a run of chunks are kept, and their rows. Pure functions over KV in memory.
 *
 * <p>In this order: {@link io.kvcache.internal.prune.Scorer} ranks tokens, {@link io.kvcache.internal.prune.Selection}
 * picks them, by {@link io.kvcache.internal.prune.Consensus} where all heads have to keep the same,
 * {@link io.kvcache.internal.prune.Kept} says for one chunk which they are, and
 * {@link io.kvcache.internal.prune.Gather} moves their rows.
 */
package io.kvcache.internal.prune;
