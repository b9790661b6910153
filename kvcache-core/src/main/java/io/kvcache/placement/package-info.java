/** Placement policies that come with the cache; start at {@link io.kvcache.placement.LruPlacement}. */
package io.kvcache.placement;
