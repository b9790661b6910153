package io.kvcache.simulation;

import io.kvcache.ChunkKey;
import io.kvcache.Namespace;
import io.kvcache.simulation.Workload.Prompt;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * What may be found, and where nothing is ever evicted what must be: "may miss, never wrong, never resurrect". It
 * keeps no bytes: those follow from the key.
 */
final class Model {
  private final Workload workload;
  /** Chunks that were committed, and not removed since. */
  private final Set<ChunkKey> mayExist = new HashSet<>();
  /** Chunks that a failed commit or removal left behind perhaps; they may be found after a restart. */
  private final Set<ChunkKey> mayReturn = new HashSet<>();
  /** Chunks that only eviction or a fault may have taken. */
  private final Set<ChunkKey> mustExist = new HashSet<>();

  Model(Workload workload) {
    this.workload = workload;
  }

  void committed(List<ChunkKey> keys) {
    mayExist.addAll(keys);
    mustExist.addAll(keys);
  }

  void commitFailed(List<ChunkKey> keys) {
    keys.stream().filter(key -> !mayExist.contains(key)).forEach(mayReturn::add);
  }

  /** Everything that continues the prompt and its last chunk are gone; of those before others may need some. */
  void removed(Prompt prompt, boolean promised) {
    for (Prompt other : workload.prompts()) {
      if (prompt.continuedBy(other)) {
        gone(other.keys().subList(prompt.keys().size() - 1, other.keys().size()), promised);
      }
    }
    mustExist.removeAll(prompt.keys());
  }

  void cleared(Namespace namespace, boolean promised) {
    for (Prompt prompt : workload.prompts()) {
      if (prompt.namespace().equals(namespace)) {
        gone(prompt.keys(), promised);
      }
    }
  }

  private void gone(List<ChunkKey> keys, boolean promised) {
    for (ChunkKey key : keys) {
      if (promised) {
        mayReturn.remove(key);
      } else if (mayExist.contains(key)) {
        mayReturn.add(key);
      }
      mayExist.remove(key);
      mustExist.remove(key);
    }
  }

  /**
   * The cache was closed or lost power, and opened again.
   *
   * @param kept what must have survived
   */
  void restarted(Set<ChunkKey> kept) {
    mayExist.addAll(mayReturn);
    mayReturn.clear();
    mustExist.retainAll(kept);
  }

  boolean mayExist(ChunkKey key) {
    return mayExist.contains(key);
  }

  /** Leading chunks of a prompt that must be found where nothing is evicted and nothing fails. */
  int mustFind(Prompt prompt) {
    int chunks = 0;
    while (chunks < prompt.keys().size() && mustExist.contains(prompt.keys().get(chunks))) {
      chunks++;
    }
    return chunks;
  }
}
