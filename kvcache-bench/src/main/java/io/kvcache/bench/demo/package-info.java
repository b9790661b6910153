/** A real, small model answers questions about long documents, with and without its KV kept. */
package io.kvcache.bench.demo;
