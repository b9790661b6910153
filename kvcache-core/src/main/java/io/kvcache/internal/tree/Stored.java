package io.kvcache.internal.tree;

import io.kvcache.Encoding;
import io.kvcache.spi.VariantClass;

/**
 * One entry of one chunk.
 *
 * @param tier index of the tier it is in
 * @param encoding which of its tokens, and by which codec
 * @param variantClass full or serving
 * @param generation as in the frame
 * @param bytes length of all parts
 */
public record Stored(int tier, Encoding encoding, VariantClass variantClass, long generation, long bytes) {
  /** The same entry, of another length. */
  public Stored withBytes(long length) {
    return new Stored(tier, encoding, variantClass, generation, length);
  }
}
