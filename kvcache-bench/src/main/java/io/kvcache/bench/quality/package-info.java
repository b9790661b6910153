/**
 * How much an answer suffers from the encoding of the KV it is read from, measured on the bench's model.
 *
 * <p>Entry point: {@link io.kvcache.bench.quality.SensitivityCommand}.
 */
package io.kvcache.bench.quality;
