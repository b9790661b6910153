package io.kvcache.bench.model;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The same model written plainly: one token and one element at a time, nothing cached but K and V, sums in
 * ascending order. What the engine must equal bit for bit; attention can be masked.
 */
final class ScalarTwin {
  /** Tells whether a query token may see a key token; asked only for keys up to the query. */
  interface Mask {
    boolean visible(int layer, int kvHead, int query, int key);
  }

  static final Mask CAUSAL = (layer, kvHead, query, key) -> true;

  private final ModelWeights weights;
  private final ModelConfig config;
  private final boolean rounded;
  private final Mask mask;

  /** Keys and values as [layer][token][kvHeads x headDim]. */
  final List<List<float[]>> keys = new ArrayList<>();
  final List<List<float[]>> values = new ArrayList<>();

  /** {@code rounded}: whether K and V are rounded to bfloat16, as the engine does. */
  ScalarTwin(ModelWeights weights, boolean rounded, Mask mask) {
    this.weights = weights;
    this.rounded = rounded;
    this.mask = mask;
    config = weights.config();
    for (int layer = 0; layer < config.layers(); layer++) {
      keys.add(new ArrayList<>());
      values.add(new ArrayList<>());
    }
  }

  /** Logits after each token. */
  float[][] run(int... tokens) {
    float[][] logits = new float[tokens.length][];
    Arrays.setAll(logits, i -> step(tokens[i]));
    return logits;
  }

  private float[] step(int token) {
    float[] x = weights.embedding(token).clone();
    for (int layer = 0; layer < config.layers(); layer++) {
      ModelWeights.Layer w = weights.layers().get(layer);
      float[] normal = normalise(x, w.attentionGains());
      int position = keys.get(layer).size();
      float[] query = rotate(times(w.query(), normal, new float[config.width()]), position);
      float[] key = rotate(times(w.key(), normal, new float[config.kvWidth()]), position);
      float[] value = times(w.value(), normal, new float[config.kvWidth()]);
      keys.get(layer).add(round(key));
      values.get(layer).add(round(value));
      times(w.output(), attend(layer, query), x);

      normal = normalise(x, w.mlpGains());
      float[] gate = times(w.gate(), normal, new float[config.hidden()]);
      float[] up = times(w.up(), normal, new float[config.hidden()]);
      for (int i = 0; i < gate.length; i++) {
        gate[i] = gate[i] / (1f + Kernels.exp(-gate[i])) * up[i];
      }
      times(w.down(), gate, x);
    }
    return weights.logits(x);
  }

  private float[] attend(int layer, float[] query) {
    float[] out = new float[config.width()];
    float scale = (float) (1 / Math.sqrt(config.headDim()));
    int last = keys.get(layer).size() - 1;
    for (int head = 0; head < config.heads(); head++) {
      int kvHead = head / config.group();
      int q = head * config.headDim();
      int kv = kvHead * config.headDim();
      float[] scores = new float[last + 1];
      float max = Float.NEGATIVE_INFINITY;
      for (int p = 0; p <= last; p++) {
        for (int d = 0; d < config.headDim(); d++) {
          scores[p] += query[q + d] * scale * keys.get(layer).get(p)[kv + d];
        }
        if (mask.visible(layer, kvHead, last, p)) {
          max = Math.max(max, scores[p]);
        }
      }
      float sum = 0;
      for (int p = 0; p <= last; p++) {
        if (mask.visible(layer, kvHead, last, p)) {
          float weight = Kernels.exp(scores[p] - max);
          sum += weight;
          for (int d = 0; d < config.headDim(); d++) {
            out[q + d] += weight * values.get(layer).get(p)[kv + d];
          }
        }
      }
      for (int d = 0; d < config.headDim(); d++) {
        out[q + d] *= 1 / sum;
      }
    }
    return out;
  }

  private float[] normalise(float[] x, float[] gains) {
    float sum = 0;
    for (float value : x) {
      sum += value * value;
    }
    float inverse = (float) (1 / Math.sqrt(sum / x.length + 1e-5f));
    float[] out = new float[x.length];
    for (int i = 0; i < x.length; i++) {
      out[i] = x[i] * inverse * gains[i];
    }
    return out;
  }

  /** Adds W x to {@code y} and returns it. */
  private static float[] times(Matrix w, float[] x, float[] y) {
    for (int out = 0; out < y.length; out++) {
      for (int in = 0; in < x.length; in++) {
        y[out] += w.row(out)[in] * x[in];
      }
    }
    return y;
  }

  private float[] rotate(float[] x, int position) {
    for (int i = 0; i < x.length; i += 2) {
      double angle = position * Math.pow(10_000, -2.0 * (i / 2 % (config.headDim() / 2)) / config.headDim());
      float cos = (float) Math.cos(angle);
      float sin = (float) Math.sin(angle);
      float even = x[i];
      x[i] = even * cos - x[i + 1] * sin;
      x[i + 1] = even * sin + x[i + 1] * cos;
    }
    return x;
  }

  private float[] round(float[] row) {
    for (int i = 0; rounded && i < row.length; i++) {
      row[i] = Bf16.widen(Bf16.round(row[i]));
    }
    return row;
  }
}
