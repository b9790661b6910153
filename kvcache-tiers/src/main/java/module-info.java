/** Where bytes live: off-heap memory and local disks. */
module io.kvcache.tiers {
  requires transitive io.kvcache.core;
  requires jdk.management; // physical memory, as the limit of a DRAM tier
  requires jdk.unsupported; // com.sun.nio.file.ExtendedOpenOption, looked up by name
  requires static rocksdbjni; // only for users of SsdTier

  exports io.kvcache.tiers;
}
