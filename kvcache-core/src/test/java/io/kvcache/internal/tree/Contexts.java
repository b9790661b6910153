package io.kvcache.internal.tree;

import io.kvcache.ChunkKey;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/** Contexts over a small alphabet, so that they share prefixes; a chunk's key depends on all letters up to it. */
final class Contexts {
  private Contexts() {}

  static ChunkKey root(int number) {
    return new ChunkKey(-1 - number, 0, 0, 0);
  }

  /** Keys of the chunks of a context given as one letter a chunk. */
  static List<ChunkKey> keys(ChunkKey root, String context) {
    List<ChunkKey> keys = new ArrayList<>();
    for (int length = 1; length <= context.length(); length++) {
      long hash = root.word0();
      for (char letter : context.substring(0, length).toCharArray()) {
        hash = hash * 31 + letter;
      }
      keys.add(new ChunkKey(hash, length, context.charAt(length - 1), root.word0()));
    }
    return keys;
  }

  static String random(SplittableRandom random, int mostChunks) {
    StringBuilder context = new StringBuilder();
    for (int length = random.nextInt(1, mostChunks + 1); length > 0; length--) {
      // One letter is much more frequent, so that contexts share long prefixes and branch late.
      context.append(random.nextInt(4) > 0 ? 'a' : (char) ('b' + random.nextInt(2)));
    }
    return context.toString();
  }
}
