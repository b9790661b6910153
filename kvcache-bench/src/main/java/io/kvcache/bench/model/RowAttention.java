package io.kvcache.bench.model;

import java.util.Arrays;
import java.util.List;

/**
 * Attention of a few queries, one at a time. Scores run along the entries (keys are held by dimension), the
 * weighted sum of values along the dimensions. Holds scratch memory that grows with the entries seen.
 */
final class RowAttention {
  private final ModelConfig config;
  private final float[][] keysByDim;
  private final float[] output;
  private float[][] values = new float[0][];
  private float[] weights = new float[0];

  RowAttention(ModelConfig config) {
    this.config = config;
    keysByDim = new float[config.headDim()][0];
    output = new float[config.headDim()];
  }

  /**
   * Attends with the queries of one KV head's group for the tokens at {@code state.length()} and following,
   * whose keys and values are written already.
   *
   * @param queries [token][width], scaled
   * @param attended [token][width]; the group's part is overwritten
   */
  void attend(
      KvState state, int layer, int kvHead, float[][] queries, float[][] attended,
      List<AttentionScores> scores) {
    int end = state.length() + queries.length;
    int entries = state.entries(layer, kvHead, end);
    load(state, layer, kvHead, end, entries);
    for (int t = 0; t < queries.length; t++) {
      int visible = entries - (queries.length - 1 - t);
      int position = state.length() + t;
      List<AttentionScores> wanted = scores.stream().filter(all -> position >= all.fromQuery()).toList();
      float[][] mass = new float[wanted.size()][visible];
      for (int i = 0; i < config.group(); i++) {
        int offset = (kvHead * config.group() + i) * config.headDim();
        float inverse = weigh(queries[t], offset, visible);
        Arrays.fill(output, 0);
        Kernels.accumulate(output, output.length, weights, 0, values, 0, visible);
        for (int d = 0; d < output.length; d++) {
          attended[t][offset + d] = output[d] * inverse;
        }
        for (int which = 0; which < mass.length; which++) {
          for (int entry = 0; entry < visible; entry++) {
            mass[which][entry] = wanted.get(which).merged(mass[which][entry], weights[entry] * inverse);
          }
        }
      }
      int[] positions = mass.length == 0 ? null : state.positions(layer, kvHead, end);
      for (int which = 0; which < mass.length; which++) {
        wanted.get(which).add(layer, kvHead, positions, mass[which]);
      }
    }
  }

  /** Fills {@link #weights} with e^(score - largest score) and returns the reciprocal of their sum. */
  private float weigh(float[] query, int offset, int visible) {
    Arrays.fill(weights, 0, visible, 0);
    Kernels.accumulate(weights, visible, query, offset, keysByDim, 0, keysByDim.length);
    float max = Float.NEGATIVE_INFINITY;
    for (int p = 0; p < visible; p++) {
      max = Math.max(max, weights[p]);
    }
    for (int p = 0; p < visible; p++) {
      weights[p] = Kernels.exp(weights[p] - max);
    }
    float sum = 0;
    for (int p = 0; p < visible; p++) {
      sum += weights[p];
    }
    return 1 / sum;
  }

  private void load(KvState state, int layer, int kvHead, int end, int entries) {
    if (weights.length < entries) {
      int room = Math.max(entries, Math.min(state.capacity(), 2 * weights.length));
      weights = new float[room];
      values = new float[room][config.headDim()];
      Arrays.setAll(keysByDim, d -> new float[room]);
    }
    state.readKeys(layer, kvHead, end,
        (block, offset, stride, rows, first) -> state.element().widenTransposed(block,
            offset, stride, rows, keysByDim, first));
    state.readValues(layer, kvHead, end,
        (block, offset, stride, rows, first) -> state.element().widen(block, offset, stride, rows, values,
            first));
  }
}
