package io.kvcache.bench.model;

import java.util.Arrays;

/**
 * Runs a few tokens through all layers on the calling thread; the vector axis is the element, each token a
 * row of its own. {@link ColumnPass} does the same for many tokens, bit for bit. One call at a time.
 */
final class RowPass {
  /** Above this, columns are long enough for {@link ColumnPass} to be faster (measured). */
  static final int MAX_TOKENS = 64;

  private final ModelWeights weights;
  private final ModelConfig config;
  private final Rotary rotary;
  private final RowAttention attention;

  private final float[] normal;
  private final float[] kvRow;
  private final float[] gate;
  private final float[] up;

  RowPass(ModelWeights weights, Rotary rotary) {
    this.weights = weights;
    this.rotary = rotary;
    config = weights.config();
    attention = new RowAttention(config);
    normal = new float[config.width()];
    kvRow = new float[config.kvWidth()];
    gate = new float[config.hidden()];
    up = new float[config.hidden()];
  }

  /**
   * Appends the tokens to the state.
   *
   * @param notes takes what is to be noted down
   * @return the last layer's output per token, [token][width]
   */
  float[][] run(KvState state, int[] tokens, PrefillNotes notes) {
    float[][] x = new float[tokens.length][];
    for (int t = 0; t < tokens.length; t++) {
      x[t] = weights.embedding(tokens[t]).clone();
    }
    float[][] attended = new float[tokens.length][config.width()];
    for (int layer = 0; layer < config.layers(); layer++) {
      ModelWeights.Layer w = weights.layers().get(layer);
      float[][] queries = project(state, layer, w, x, notes.queries());
      for (int kvHead = 0; kvHead < config.kvHeads(); kvHead++) {
        attention.attend(state, layer, kvHead, queries, attended, notes.attention());
      }
      for (int t = 0; t < tokens.length; t++) {
        feedForward(w, x[t], attended[t]);
      }
    }
    state.advance(tokens.length);
    return x;
  }

  /** Writes the tokens' keys and values to the state and returns their scaled queries. */
  private float[][] project(KvState state, int layer, ModelWeights.Layer w, float[][] x,
      PromptQueries noted) {
    float[][] queries = new float[x.length][config.width()];
    short[] keys = new short[x.length * config.kvWidth()];
    short[] values = new short[keys.length];
    for (int t = 0; t < x.length; t++) {
      int position = state.length() + t;
      Kernels.normalise(normal, x[t], w.attentionGains());
      w.query().addProduct(queries[t], normal);
      if (noted != null) {
        noted.put(layer, position, queries[t]);
      }
      rotary.rotate(queries[t], position);
      Kernels.scale(queries[t], config.queryScale(), config.width());

      Arrays.fill(kvRow, 0);
      w.key().addProduct(kvRow, normal);
      rotary.rotate(kvRow, position);
      state.element().round(kvRow, keys, t * kvRow.length);

      Arrays.fill(kvRow, 0);
      w.value().addProduct(kvRow, normal);
      state.element().round(kvRow, values, t * kvRow.length);
    }
    state.writeKeys(layer, state.length(), keys, x.length);
    state.writeValues(layer, state.length(), values, x.length);
    return queries;
  }

  private void feedForward(ModelWeights.Layer w, float[] x, float[] attended) {
    w.output().addProduct(x, attended);
    Kernels.normalise(normal, x, w.mlpGains());
    Arrays.fill(gate, 0);
    Arrays.fill(up, 0);
    w.gate().addProduct(gate, normal);
    w.up().addProduct(up, normal);
    Kernels.swiglu(gate, up, gate.length);
    w.down().addProduct(x, gate);
  }
}
