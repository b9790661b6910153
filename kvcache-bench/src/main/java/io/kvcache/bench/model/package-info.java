/**
 * A small decoder-only transformer (Llama family) whose key/value state can be taken out and put back.
 *
 * <p>Entry point: {@link io.kvcache.bench.model.Transformer}, made from
 * {@link io.kvcache.bench.model.ModelWeights}; its memory is a {@link io.kvcache.bench.model.KvState}.
 *
 * <p>One rule holds everywhere and makes results independent of batch size, thread count and of how a prompt
 * is split: every sum is taken strictly in ascending order of its index, one rounding per operation. Loops
 * are arranged so that the vector axis is never the summed one, which is also what lets the JIT compiler
 * vectorise them. The package uses the JDK only.
 */
package io.kvcache.bench.model;
