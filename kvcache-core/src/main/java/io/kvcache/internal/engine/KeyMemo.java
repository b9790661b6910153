package io.kvcache.internal.engine;

import io.kvcache.ChunkKey;
import io.kvcache.KeyChain;
import io.kvcache.Tokens;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The key chains of prompts seen of late. The next turn of a conversation repeats all turns before it, and a prompt that
 * was looked up is stored soon after: their keys need not be computed again. Bounded by tokens. Thread-safe.
 */
final class KeyMemo {
  /** Of all chains remembered: 16 MiB of token ids. */
  private static final long MOST_TOKENS = 4 << 20;

  private final Map<ChunkKey, KeyChain> byLandmark = new HashMap<>();
  /** With the tokens of each, least recently used first. */
  private final LinkedHashMap<KeyChain, Integer> tokens = new LinkedHashMap<>(16, 0.75f, true);
  private long sum;

  /** A chain that knows what is remembered of prompts that begin alike. */
  KeyChain chain(ChunkKey root, int chunkTokens, Tokens prompt) {
    return KeyChain.of(root, chunkTokens, prompt, this::find);
  }

  private synchronized KeyChain find(ChunkKey landmark) {
    KeyChain found = byLandmark.get(landmark);
    if (found != null) {
      tokens.get(found); // used
    }
    return found;
  }

  /** Remembers a chain; of those with the same landmark the last one. */
  synchronized void remember(KeyChain chain, Tokens prompt) {
    if (tokens.putIfAbsent(chain, prompt.length()) == null) {
      sum += prompt.length();
    }
    for (ChunkKey landmark : chain.landmarks()) {
      byLandmark.put(landmark, chain);
    }
    var eldest = tokens.entrySet().iterator();
    while (sum > MOST_TOKENS && eldest.hasNext()) {
      var each = eldest.next();
      eldest.remove();
      sum -= each.getValue();
      each.getKey().landmarks().forEach(landmark -> byLandmark.remove(landmark, each.getKey()));
    }
  }

  /** Tokens of all chains remembered. */
  synchronized long tokens() {
    return sum;
  }
}
