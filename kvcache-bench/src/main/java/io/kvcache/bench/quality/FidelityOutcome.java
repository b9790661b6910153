package io.kvcache.bench.quality;

/**
 * What one encoding of one prompt's KV cost and did.
 *
 * @param storedBytes of all full chunks, encoded
 * @param rawBytes of the same, as they were
 * @param keys error of the keys
 * @param values error of the values
 * @param attention error of what attention reads
 * @param scored predictions compared
 * @param kl summed Kullback-Leibler divergence of the predictions from those of exact KV, nats
 * @param same predictions whose most likely token is that of exact KV
 * @param questions asked
 * @param correct answered exactly right
 */
record FidelityOutcome(long storedBytes, long rawBytes, RelativeError keys, RelativeError values,
    RelativeError attention, int scored, double kl, int same, int questions, int correct) {}
