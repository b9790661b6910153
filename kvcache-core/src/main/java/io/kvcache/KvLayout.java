package io.kvcache;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Collections;
import java.util.List;
import java.util.Objects;

/**
 * How a model's KV is laid out: its layers, and the tokens of one chunk.
 *
 * <p>The canonical order of a chunk is {@code [layer][keys|values][token][kvHead × headDim]}, little-endian.
 *
 * @param layers one entry a layer, 1 to {@value #MAX_LAYERS}
 * @param chunkTokens tokens of a chunk, a power of two from {@value #MIN_CHUNK_TOKENS} to
 *     {@value #MAX_CHUNK_TOKENS}
 */
public record KvLayout(List<LayerSpec> layers, int chunkTokens) {
  /** Fewest tokens a chunk may have. */
  public static final int MIN_CHUNK_TOKENS = 16;

  /** Most tokens a chunk may have; positions within a chunk fit 16 bits. */
  public static final int MAX_CHUNK_TOKENS = 1 << 16;

  /** Tokens of a chunk unless chosen otherwise. */
  public static final int DEFAULT_CHUNK_TOKENS = 256;

  /** Most layers a model may have. */
  public static final int MAX_LAYERS = 4096;

  /** Most bytes one half of one layer of one chunk may have. */
  public static final long MAX_HALF_BYTES = 1L << 30;

  /** Checks every component. */
  public KvLayout {
    layers = List.copyOf(layers);
    Checks.requireBetween(layers.size(), 1, MAX_LAYERS, "layers");
    Checks.requireBetween(chunkTokens, MIN_CHUNK_TOKENS, MAX_CHUNK_TOKENS, "chunkTokens");
    if (Integer.bitCount(chunkTokens) != 1) {
      throw new IllegalArgumentException("chunkTokens is " + chunkTokens + ", must be a power of two");
    }
    for (LayerSpec layer : layers) {
      long half = (long) Math.max(layer.keyRowBytes(), layer.valueRowBytes()) * chunkTokens;
      Checks.requireBetween(half, 1, MAX_HALF_BYTES, "bytes of one half of a layer of a chunk");
    }
  }

  /** A model whose layers are all alike, with chunks of {@value #DEFAULT_CHUNK_TOKENS} tokens. */
  public static KvLayout uniform(int layers, int kvHeads, int headDim, DType dtype) {
    Checks.requireBetween(layers, 1, MAX_LAYERS, "layers");
    return new KvLayout(
        Collections.nCopies(layers, LayerSpec.of(kvHeads, headDim, dtype)), DEFAULT_CHUNK_TOKENS);
  }

  /** The same layers in chunks of another size. */
  public KvLayout withChunkTokens(int tokens) {
    return new KvLayout(layers, tokens);
  }

  /** The layer with this index, from 0. */
  public LayerSpec layer(int index) {
    return layers.get(Objects.checkIndex(index, layers.size()));
  }

  /** Bytes of one token's KV in all layers, not compressed. */
  public long tokenBytes() {
    long bytes = 0;
    for (LayerSpec layer : layers) {
      bytes += layer.keyRowBytes() + layer.valueRowBytes();
    }
    return bytes;
  }

  /** Bytes of one chunk, not compressed. */
  public long chunkBytes() {
    return tokenBytes() * chunkTokens;
  }

  /** The bytes that stand for this layout in keys and frames; see {@code FORMAT.md}. */
  byte[] encoded() {
    ByteBuffer out = ByteBuffer.allocate(8 + layers.size() * 20).order(ByteOrder.LITTLE_ENDIAN);
    out.putInt(chunkTokens).putInt(layers.size());
    for (LayerSpec layer : layers) {
      out.putInt(layer.kvHeads()).putInt(layer.keyDim()).putInt(layer.valueDim());
      out.putInt(layer.dtype().number()).putInt(layer.window());
    }
    return out.array();
  }
}
