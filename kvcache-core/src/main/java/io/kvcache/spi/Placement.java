package io.kvcache.spi;

import io.kvcache.Encoding;
import java.util.Objects;

/**
 * Where a segment's chunks are, or are to be, and how encoded.
 *
 * @param tier index of the tier, 0 the fastest
 * @param encoding which tokens, and by which codec
 */
public record Placement(int tier, Encoding encoding) {
  /** Checks the component. */
  public Placement {
    Objects.requireNonNull(encoding, "encoding");
  }
}
