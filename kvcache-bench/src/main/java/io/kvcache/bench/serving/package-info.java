/**
 * The bench's model as an engine with a cache: what an engine does to load, store and judge KV.
 *
 * <p>Entry point: {@link io.kvcache.bench.serving.CachedModel}.
 */
package io.kvcache.bench.serving;
