/**
 * Placement policies compared on real answers: the same requests through the same tiers, by one policy after the other.
 *
 * <p>Entry point: {@link io.kvcache.bench.placement.Comparison}.
 */
package io.kvcache.bench.placement;
