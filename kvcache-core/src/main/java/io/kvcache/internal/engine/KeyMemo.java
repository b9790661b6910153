package io.kvcache.internal.engine;

import io.kvcache.ChunkKey;
import io.kvcache.KeyChain;
import io.kvcache.Tokens;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The key chains of prompts seen of late. The next turn of a conversation repeats all turns before it, and a prompt
 * that was looked up is stored soon after: their keys need not be computed again. Bounded in memory. Thread-safe.
 */
final class KeyMemo {
  /** Of heap, for all chains remembered: twenty prompts of 128,000 tokens. */
  private static final long MOST_BYTES = 12 << 20;
  /** What a key takes in a chain. */
  private static final int KEY_BYTES = 56;

  private final Map<ChunkKey, KeyChain> byLandmark = new HashMap<>();
  /** With the bytes of each, least recently used first. */
  private final LinkedHashMap<KeyChain, Long> bytes = new LinkedHashMap<>(16, 0.75f, true);
  private long sum;

  /** A chain that knows what is remembered of prompts that begin alike. */
  KeyChain chain(ChunkKey root, int chunkTokens, Tokens prompt) {
    return KeyChain.of(root, chunkTokens, prompt, this::find);
  }

  private synchronized KeyChain find(ChunkKey landmark) {
    KeyChain found = byLandmark.get(landmark);
    if (found != null) {
      bytes.get(found); // used
    }
    return found;
  }

  /** Remembers a chain; of those with the same landmark the last one. */
  synchronized void remember(KeyChain chain, Tokens prompt) {
    long taken = (long) prompt.length() * Integer.BYTES + (long) chain.chunks() * KEY_BYTES;
    if (bytes.putIfAbsent(chain, taken) == null) {
      sum += taken;
    }
    for (ChunkKey landmark : chain.landmarks()) {
      byLandmark.put(landmark, chain);
    }
    var eldest = bytes.entrySet().iterator();
    while (sum > MOST_BYTES && eldest.hasNext()) {
      var each = eldest.next();
      eldest.remove();
      sum -= each.getValue();
      each.getKey().landmarks().forEach(landmark -> byLandmark.remove(landmark, each.getKey()));
    }
  }

  /** Bytes that the chains remembered take, about. */
  synchronized long bytes() {
    return sum;
  }
}
