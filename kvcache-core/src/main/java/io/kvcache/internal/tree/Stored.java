package io.kvcache.internal.tree;

import io.kvcache.spi.VariantClass;

/**
 * One entry of one chunk.
 *
 * @param tier index of the tier it is in
 * @param codec number of the encoding
 * @param variantClass full or serving
 * @param generation as in the frame
 * @param bytes length of all parts
 */
public record Stored(int tier, int codec, VariantClass variantClass, long generation, long bytes) {}
