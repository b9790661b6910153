/** Microbenchmarks; {@code kvcache-bench jmh -l} lists them, {@code docs/BENCHMARKS.md} says what they showed. */
package io.kvcache.bench.jmh;
