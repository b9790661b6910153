package io.kvcache;

import java.util.Objects;

/**
 * The shape of one half of one layer over a number of tokens: rows of {@code kvHeads × dim} elements, one row
 * a token, densely packed.
 *
 * @param half keys or values
 * @param tokens rows, at least 1
 * @param kvHeads key/value heads, at least 1
 * @param dim elements per head; 0 where a layer has no values (MLA latents)
 * @param dtype element type
 */
public record KvShape(KvHalf half, int tokens, int kvHeads, int dim, DType dtype) {
  /** Checks every component. */
  public KvShape {
    Objects.requireNonNull(half, "half");
    Checks.requireBetween(tokens, 1, KvLayout.MAX_CHUNK_TOKENS, "tokens");
    Checks.requireBetween(kvHeads, 1, LayerSpec.MAX_KV_HEADS, "kvHeads");
    Checks.requireBetween(dim, 0, LayerSpec.MAX_DIM, "dim");
    Objects.requireNonNull(dtype, "dtype");
    Checks.requireBetween((long) kvHeads * dim * dtype.bytes(), 0, LayerSpec.MAX_ROW_BYTES,
        "bytes per token");
  }

  /** Elements of one token's row, all heads. */
  public int channels() {
    return kvHeads * dim;
  }

  /** Elements in all rows. */
  public long elements() {
    return (long) tokens * channels();
  }

  /** Bytes of all rows, not compressed. */
  public long bytes() {
    return elements() * dtype.bytes();
  }
}
