/** Shows and measures the library on this machine; {@link io.kvcache.bench.Main} is the command line. */
package io.kvcache.bench;
