/** How bytes are encoded. */
module io.kvcache.compress {
  requires transitive io.kvcache.core;
  requires com.github.luben.zstd_jni;
  requires org.lz4.java;

  exports io.kvcache.compress;
}
