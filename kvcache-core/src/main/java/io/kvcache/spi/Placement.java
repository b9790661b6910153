package io.kvcache.spi;

/**
 * Where a segment's chunks are, or are to be, and how encoded.
 *
 * @param tier index of the tier, 0 the fastest
 * @param codec number of the encoding, 0 for raw
 */
public record Placement(int tier, int codec) {}
