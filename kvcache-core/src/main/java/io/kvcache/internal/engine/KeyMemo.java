package io.kvcache.internal.engine;

import io.kvcache.ChunkKey;
import io.kvcache.KeyChain;
import io.kvcache.Tokens;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
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

  /** Remembers a chain, in place of one that it goes on from; not where one is remembered that knows as much. */
  synchronized void remember(KeyChain chain, Tokens prompt) {
    List<ChunkKey> landmarks = chain.landmarks();
    KeyChain alike = landmarks.isEmpty() ? null : byLandmark.get(landmarks.getLast());
    if (landmarks.isEmpty() || (alike != null && chain.within(alike))) {
      return;
    }
    if (alike != null && alike.within(chain)) {
      forget(alike);
    }
    long taken = (long) prompt.length() * Integer.BYTES + (long) chain.chunks() * KEY_BYTES;
    Long before = bytes.put(chain, taken);
    sum += taken - (before == null ? 0 : before);
    landmarks.forEach(landmark -> byLandmark.put(landmark, chain));
    while (sum > MOST_BYTES) {
      forget(bytes.firstEntry().getKey());
    }
  }

  private void forget(KeyChain chain) {
    sum -= bytes.remove(chain);
    chain.landmarks().forEach(landmark -> byLandmark.remove(landmark, chain));
  }

  /** Bytes that the chains remembered take, about. */
  synchronized long bytes() {
    return sum;
  }
}
