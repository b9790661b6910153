/**
 * Tiers: where bytes live. {@link io.kvcache.tiers.DramTier} keeps them in this process's memory, off the heap; {@link
 * io.kvcache.tiers.SsdTier} on a local disk.
 */
package io.kvcache.tiers;
