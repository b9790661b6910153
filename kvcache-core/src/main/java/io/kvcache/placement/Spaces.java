package io.kvcache.placement;

import io.kvcache.ChunkKey;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * What is known of namespaces. Of those that have no segments, be it that they were turned away or that all is gone,
 * the ones last asked about are remembered, so that whoever invents namespaces does not fill the heap.
 */
final class Spaces {
  private static final int MOST_EMPTY = 1024;

  private final int candidates;
  private final Map<ChunkKey, Space> filled = new HashMap<>();
  private final Map<ChunkKey, Space> empty = new LinkedHashMap<>(16, 0.75f, true) {
    private static final long serialVersionUID = 1;

    @Override
    protected boolean removeEldestEntry(Map.Entry<ChunkKey, Space> eldest) {
      return size() > MOST_EMPTY;
    }
  };

  Spaces(int candidates) {
    this.candidates = candidates;
  }

  /** What is known of a namespace, by the start of its key chain. */
  Space of(ChunkKey root) {
    Space space = filled.get(root);
    return space != null ? space : empty.computeIfAbsent(root, key -> new Space(candidates));
  }

  /** As {@link #of}, without remembering that it was asked about. */
  Space peek(ChunkKey root) {
    Space space = filled.get(root);
    return space != null ? space : new Space(candidates);
  }

  /** A segment came to be. */
  Space enter(ChunkKey root) {
    Space space = of(root);
    if (space.segments++ == 0) {
      empty.remove(root);
      filled.put(root, space);
    }
    return space;
  }

  /** A segment is no more. */
  void leave(ChunkKey root, Space space) {
    if (--space.segments == 0) {
      filled.remove(root);
      empty.put(root, space);
    }
  }
}
