/** Where bytes live: off-heap memory and local disks. */
module io.kvcache.tiers {
  requires transitive io.kvcache.core;
  requires jdk.management;

  exports io.kvcache.tiers;
}
