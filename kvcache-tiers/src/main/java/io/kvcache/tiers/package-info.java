/**
 * Tiers: where bytes live. {@link io.kvcache.tiers.DramTier} keeps them in this process's memory, off the
 * heap.
 */
package io.kvcache.tiers;
