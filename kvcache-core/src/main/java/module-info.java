/** The cache itself: keys, prefix tree, frames, leases and reservations, placement. */
module io.kvcache.core {
  exports io.kvcache;
  exports io.kvcache.placement;
  exports io.kvcache.spi;
  exports io.kvcache.internal.memory to io.kvcache.tiers;
}
