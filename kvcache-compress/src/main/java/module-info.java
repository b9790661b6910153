/** How bytes are encoded. */
module io.kvcache.compress {
  requires transitive io.kvcache.core;
}
