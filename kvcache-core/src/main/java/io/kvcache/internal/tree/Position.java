package io.kvcache.internal.tree;

import io.kvcache.ChunkKey;
import java.util.ArrayList;
import java.util.List;

/**
 * One chunk of a context. It stays right when its segment is split later.
 *
 * @param below a segment of the context that held the chunk, or now holds a later one
 * @param chunk index of the chunk in the context
 */
public record Position(Segment below, int chunk) {
  /** The segment that holds the chunk now. */
  public Segment segment() {
    return below.holding(chunk);
  }

  /** The chunk's key. */
  public ChunkKey key() {
    Segment segment = segment();
    return segment.key(chunk - segment.firstChunk());
  }

  /** Every entry of the chunk. */
  public List<Stored> stored() {
    Segment segment = segment();
    int index = chunk - segment.firstChunk();
    List<Stored> all = new ArrayList<>(2);
    for (Variant variant : segment.variants()) {
      if (variant.has(index)) {
        all.add(
            new Stored(variant.tier(), variant.encoding(), variant.variantClass(), variant.generation(index),
                variant.bytes(index), variant.expiryMillis()));
      }
    }
    return all;
  }
}
