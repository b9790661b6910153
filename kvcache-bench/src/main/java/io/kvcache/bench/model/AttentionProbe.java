package io.kvcache.bench.model;

import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * What attention reads at the tokens behind a prefix, in every layer, for the queries that exact KV leads to: the same
 * queries can then be put to other KV of the prefix, so that what is compared is not made worse by layers before.
 * One thread.
 */
public final class AttentionProbe {
  private final ModelConfig config;
  private final RowAttention attention;
  private final int from;
  private final int tokens;
  private final float[][][] queries;
  private final MemorySegment[] keys;
  private final MemorySegment[] values;

  /**
   * Takes over queries, keys and values of the tokens behind a prefix.
   *
   * @param state the dense KV of prefix and tokens
   * @param noted the queries of just these
   * @param from tokens of the prefix
   */
  public AttentionProbe(KvState state, PromptQueries noted, int from) {
    config = state.config();
    attention = new RowAttention(config);
    this.from = from;
    tokens = state.length() - from;
    if (noted.tokens() != state.length() || tokens < 1) {
      throw new IllegalArgumentException("queries of " + noted.tokens() + " tokens, a state of "
          + state.length() + " and a prefix of " + from);
    }
    Rotary rotary = new Rotary(config.context(), config.headDim());
    queries = new float[config.layers()][tokens][];
    keys = new MemorySegment[config.layers()];
    values = new MemorySegment[config.layers()];
    long at = (long) from * state.rowBytes();
    long bytes = (long) tokens * state.rowBytes();
    for (int layer = 0; layer < queries.length; layer++) {
      for (int token = 0; token < tokens; token++) {
        queries[layer][token] = noted.row(layer, from + token).clone();
        rotary.rotate(queries[layer][token], from + token);
        Kernels.scale(queries[layer][token], config.queryScale(), config.width());
      }
      keys[layer] =
          MemorySegment.ofArray(new byte[(int) bytes]).copyFrom(state.keys(layer).asSlice(at, bytes));
      values[layer] =
          MemorySegment.ofArray(new byte[(int) bytes]).copyFrom(state.values(layer).asSlice(at, bytes));
    }
  }

  /**
   * What is read from other KV of the prefix, and the exact KV of the tokens behind; [layer][all elements].
   *
   * @param state the prefix, with room behind it, which is overwritten
   */
  public float[][] outputs(KvState state) {
    if (state.length() != from) {
      throw new IllegalArgumentException("a state of " + state.length() + " tokens, must be " + from);
    }
    float[][] outputs = new float[config.layers()][tokens * config.width()];
    long at = (long) from * state.rowBytes();
    for (int layer = 0; layer < outputs.length; layer++) {
      MemorySegment.copy(keys[layer], 0, state.keys(layer), at, keys[layer].byteSize());
      MemorySegment.copy(values[layer], 0, state.values(layer), at, values[layer].byteSize());
      float[][] attended = new float[tokens][config.width()];
      for (int kvHead = 0; kvHead < config.kvHeads(); kvHead++) {
        attention.attend(state, layer, kvHead, queries[layer], attended, List.of());
      }
      for (int token = 0; token < tokens; token++) {
        System.arraycopy(attended[token], 0, outputs[layer], token * config.width(), config.width());
      }
    }
    return outputs;
  }
}
