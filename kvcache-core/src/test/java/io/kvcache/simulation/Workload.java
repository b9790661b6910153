package io.kvcache.simulation;

import io.kvcache.ChunkKey;
import io.kvcache.DropMethod;
import io.kvcache.KeyChain;
import io.kvcache.KvLayout;
import io.kvcache.LayerSpec;
import io.kvcache.Namespace;
import io.kvcache.TokenScores;
import io.kvcache.Tokens;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;

/** A few prompts in a few namespaces, most of which begin like another one. */
final class Workload {
  static final int NAMESPACES = 3;
  private static final int MOST_CHUNKS = 7;

  private final List<Prompt> prompts = new ArrayList<>();
  private final List<Namespace> namespaces = new ArrayList<>();

  /**
   * A prompt.
   *
   * @param keys of its full chunks
   */
  record Prompt(Namespace namespace, Tokens tokens, List<ChunkKey> keys) {
    /** Whether the other prompt is this one or goes on behind its last full chunk. */
    boolean continuedBy(Prompt other) {
      return other.keys.size() >= keys.size() && other.keys.subList(0, keys.size()).equals(keys);
    }
  }

  Workload(KvLayout layout, int count, SplittableRandom random) {
    for (int index = 0; index < NAMESPACES; index++) {
      namespaces.add(Namespace.of("model-" + index, layout));
    }
    for (int index = 0; index < count; index++) {
      Namespace namespace = namespaces.get(random.nextInt(NAMESPACES));
      int[] like = prompts.isEmpty() ? new int[0] : anyOf(prompts, random).tokens().ids();
      prompts.add(prompt(namespace, ids(layout.chunkTokens(), like, random)));
    }
  }

  private static int[] ids(int chunkTokens, int[] like, SplittableRandom random) {
    int chunks = 1 + random.nextInt(MOST_CHUNKS);
    int[] ids = new int[chunks * chunkTokens + random.nextInt(chunkTokens)];
    int shared = Math.min(random.nextInt(like.length + 1), ids.length);
    Arrays.setAll(ids, at -> at < shared ? like[at] : random.nextInt(2));
    return ids;
  }

  private static Prompt prompt(Namespace namespace, int[] ids) {
    Tokens tokens = Tokens.of(ids);
    KeyChain chain = KeyChain.of(namespace, tokens);
    List<ChunkKey> keys = new ArrayList<>();
    for (int chunk = 0; chunk < chain.chunks(); chunk++) {
      keys.add(chain.key(chunk));
    }
    return new Prompt(namespace, tokens, keys);
  }

  /** The first chunks of a prompt, at most so many. */
  Prompt startOf(Prompt prompt, int mostChunks) {
    int chunkTokens = prompt.namespace().layout().chunkTokens();
    int tokens = Math.min(prompt.keys().size(), mostChunks) * chunkTokens;
    return prompt(prompt.namespace(), Arrays.copyOf(prompt.tokens().ids(), tokens));
  }

  /** What an engine's attention might say of a prompt's tokens. */
  TokenScores scores(Prompt prompt, SplittableRandom random) {
    int tokens = prompt.tokens().length();
    List<LayerSpec> layers = prompt.namespace().layout().layers();
    float[][][] scores = new float[layers.size()][][];
    for (int layer = 0; layer < scores.length; layer++) {
      scores[layer] = new float[layers.get(layer).kvHeads()][tokens];
      for (float[] head : scores[layer]) {
        for (int token = 0; token < tokens; token++) {
          head[token] = random.nextInt(8);
        }
      }
    }
    return TokenScores.none().with(DropMethod.SNAPKV, scores);
  }

  List<Prompt> prompts() {
    return prompts;
  }

  /** Keys of everything that may be stored in a namespace. */
  Set<ChunkKey> keys(Namespace namespace) {
    Set<ChunkKey> keys = new HashSet<>();
    prompts.stream().filter(prompt -> prompt.namespace().equals(namespace))
        .forEach(prompt -> keys.addAll(prompt.keys()));
    return keys;
  }

  List<Namespace> namespaces() {
    return namespaces;
  }

  Prompt any(SplittableRandom random) {
    return anyOf(prompts, random);
  }

  static <T> T anyOf(List<T> list, SplittableRandom random) {
    return list.get(random.nextInt(list.size()));
  }
}
