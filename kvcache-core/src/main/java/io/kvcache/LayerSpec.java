package io.kvcache;

import java.util.Objects;

/**
 * The KV of one layer for one token.
 *
 * @param kvHeads key/value heads (not query heads), 1 to {@value #MAX_KV_HEADS}
 * @param keyDim elements per head in a key, 1 to {@value #MAX_DIM}
 * @param valueDim elements per head in a value; 0 where keys carry everything (MLA latents)
 * @param dtype element type of keys and values
 * @param window tokens a sliding-window layer attends to; 0 for full attention
 */
public record LayerSpec(int kvHeads, int keyDim, int valueDim, DType dtype, int window) {
  /** Most key/value heads a layer may have. */
  public static final int MAX_KV_HEADS = 4096;

  /** Most elements per head; opaque layers use it for bytes per token. */
  public static final int MAX_DIM = 1 << 20;

  /** Most bytes of one token's keys, and of its values. */
  public static final int MAX_ROW_BYTES = 1 << 24;

  /** Checks every component. */
  public LayerSpec {
    Checks.requireBetween(kvHeads, 1, MAX_KV_HEADS, "kvHeads");
    Checks.requireBetween(keyDim, 1, MAX_DIM, "keyDim");
    Checks.requireBetween(valueDim, 0, MAX_DIM, "valueDim");
    Objects.requireNonNull(dtype, "dtype");
    Checks.requireBetween(window, 0, Integer.MAX_VALUE, "window");
    Checks.requireBetween((long) kvHeads * keyDim * dtype.bytes(), 1, MAX_ROW_BYTES, "key bytes per token");
    Checks.requireBetween(
        (long) kvHeads * valueDim * dtype.bytes(), 0, MAX_ROW_BYTES, "value bytes per token");
  }

  /** A full-attention layer whose keys and values have the same width. */
  public static LayerSpec of(int kvHeads, int headDim, DType dtype) {
    return new LayerSpec(kvHeads, headDim, headDim, dtype, 0);
  }

  /** A layer whose bytes the cache does not interpret: {@code bytesPerToken} for each token. */
  public static LayerSpec opaque(int bytesPerToken) {
    return new LayerSpec(1, bytesPerToken, 0, DType.OPAQUE, 0);
  }

  /** Bytes of one token's key row, all heads. */
  public int keyRowBytes() {
    return kvHeads * keyDim * dtype.bytes();
  }

  /** Bytes of one token's value row, all heads; 0 where there are no values. */
  public int valueRowBytes() {
    return kvHeads * valueDim * dtype.bytes();
  }

  /** Bytes of one token's row of {@code half}. */
  public int rowBytes(KvHalf half) {
    return half == KvHalf.KEYS ? keyRowBytes() : valueRowBytes();
  }

  /** The shape of {@code half} over {@code tokens} tokens. */
  public KvShape shape(KvHalf half, int tokens) {
    return new KvShape(half, tokens, kvHeads, half == KvHalf.KEYS ? keyDim : valueDim, dtype);
  }
}
