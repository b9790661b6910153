/** The cache as an inference engine sees it; start at {@link io.kvcache.KvLayout}. */
package io.kvcache;
