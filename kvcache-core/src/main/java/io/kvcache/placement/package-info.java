/**
 * Placement policies that come with the cache; start at {@link io.kvcache.placement.LruPlacement}, or at {@link
 * io.kvcache.placement.UtilityPlacement} where compression is to be chosen for each context.
 */
package io.kvcache.placement;
