/** Codecs for KV halves; {@link io.kvcache.compress.Compressors} is the way in. */
package io.kvcache.compress;
