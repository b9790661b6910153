package io.kvcache.simulation;

import io.kvcache.ChunkKey;
import io.kvcache.Namespace;
import io.kvcache.simulation.Workload.Prompt;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * What may be found, and where nothing is ever evicted what must be: "may miss, never wrong, never
 * resurrect". It keeps no bytes: those follow from the key.
 */
final class Model {
  /** The expiry of what does not expire. */
  static final long NEVER = Long.MAX_VALUE;

  private final Workload workload;
  /** Chunks that were committed, and not removed since, with the time at which the last of them expires. */
  private final Map<ChunkKey, Long> mayExist = new HashMap<>();
  /** Chunks that a failed commit or removal left behind perhaps; they may be found after a restart. */
  private final Map<ChunkKey, Long> mayReturn = new HashMap<>();
  /** Chunks that only eviction or a fault may have taken. */
  private final Map<ChunkKey, Long> mustExist = new HashMap<>();
  /** When what is there of a chunk expires at the earliest. */
  private final Map<ChunkKey, Long> soonest = new HashMap<>();
  /** When each that was ever stored of a chunk expires: whatever is there is one of them. */
  private final Map<ChunkKey, TreeSet<Long>> ever = new HashMap<>();

  Model(Workload workload) {
    this.workload = workload;
  }

  /**
   * Chunks were committed.
   *
   * @param expiry of those that were stored: not of those that were there when they were reserved
   * @param reserved when that was
   */
  void committed(List<ChunkKey> keys, long expiry, long reserved) {
    for (ChunkKey key : keys) {
      mayExist.merge(key, expiry, Math::max);
      Long known = stored(key, expiry).higher(reserved);
      soonest.put(key, known == null ? expiry : Math.min(known, expiry));
      mustExist.put(key, soonest.get(key));
    }
  }

  private TreeSet<Long> stored(ChunkKey key, long expiry) {
    TreeSet<Long> all = ever.computeIfAbsent(key, chunk -> new TreeSet<>());
    all.add(expiry);
    return all;
  }

  void commitFailed(List<ChunkKey> keys, long expiry) {
    keys.forEach(key -> {
      mayReturn.merge(key, expiry, Math::max);
      stored(key, expiry);
    });
  }

  /** What expires takes what follows it along, or not. */
  void expire(long now) {
    for (Prompt prompt : workload.prompts()) {
      boolean over = false;
      for (ChunkKey key : prompt.keys()) {
        over |= soonest.getOrDefault(key, NEVER) <= now;
        if (over) {
          mustExist.remove(key);
        }
      }
    }
  }

  /**
   * Everything that continues the prompt and its last chunk are gone; of those before others may need some.
   */
  void removed(Prompt prompt, boolean promised) {
    for (Prompt other : workload.prompts()) {
      if (prompt.continuedBy(other)) {
        gone(other.keys().subList(prompt.keys().size() - 1, other.keys().size()), promised);
      }
    }
    mustExist.keySet().removeAll(prompt.keys());
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
      } else if (mayExist.containsKey(key)) {
        mayReturn.merge(key, mayExist.get(key), Math::max);
      }
      mayExist.remove(key);
      mustExist.remove(key);
    }
  }

  /**
   * The cache was closed or lost power, and opened again.
   *
   * @param kept what must have survived, unless it has expired: which of those that were stored it is nobody knows
   */
  void restarted(Set<ChunkKey> kept, long now) {
    mayReturn.forEach((key, expiry) -> mayExist.merge(key, expiry, Math::max));
    mayReturn.clear();
    mustExist.keySet().removeIf(key -> !kept.contains(key) || !neverExpired(key, now));
    mustExist.replaceAll((key, expiry) -> ever.get(key).first());
    soonest.putAll(mustExist);
  }

  boolean mayExist(ChunkKey key) {
    return mayExist.containsKey(key);
  }

  /** Whether all that was ever stored of a chunk and may be there has expired. */
  boolean expired(ChunkKey key, long now) {
    return mayExist.getOrDefault(key, NEVER) <= now;
  }

  /** Whether nothing that was ever stored of a chunk has expired. */
  boolean neverExpired(ChunkKey key, long now) {
    return !ever.containsKey(key) || ever.get(key).first() > now;
  }

  /** Leading chunks of a prompt that must be found where nothing is evicted and nothing fails. */
  int mustFind(Prompt prompt) {
    int chunks = 0;
    while (chunks < prompt.keys().size() && mustExist.containsKey(prompt.keys().get(chunks))) {
      chunks++;
    }
    return chunks;
  }
}
