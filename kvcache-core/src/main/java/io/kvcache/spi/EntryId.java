package io.kvcache.spi;

import io.kvcache.ChunkKey;
import java.util.Objects;

/**
 * What a tier stores one frame under.
 *
 * @param key the chunk
 * @param variantClass which of its variants
 */
public record EntryId(ChunkKey key, VariantClass variantClass) {
  /** Checks every component. */
  public EntryId {
    Objects.requireNonNull(key, "key");
    Objects.requireNonNull(variantClass, "variantClass");
  }
}
