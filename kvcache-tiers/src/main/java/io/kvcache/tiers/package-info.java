/** Tiers on local media: {@link io.kvcache.tiers.SsdTier} on disks. */
package io.kvcache.tiers;
