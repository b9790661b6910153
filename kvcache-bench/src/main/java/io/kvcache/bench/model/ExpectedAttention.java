package io.kvcache.bench.model;

/**
 * How much attention each token of a prompt can expect of the tokens to come (Devoto et al., 2025; kvpress's
 * {@code ExpectedAttentionPress} with its defaults).
 *
 * <p>The queries to come are taken to be distributed normally, as those of the prompt are before rotation, and to be
 * rotated as the next 512 positions are on average. The expectation of e^(query · key) then has a closed form. It is
 * normalised over the keys, averaged over the query heads of a KV head, and weighted with the norm of the value. The
 * first four tokens have queries unlike all others: they stay out of the statistics and are always kept.
 */
public final class ExpectedAttention {
  static final int SINKS = 4;
  static final int FUTURE_POSITIONS = 512;

  private final ModelConfig config;
  private final KvState state;
  private final PromptQueries queries;
  private final double[][] rotation;

  private ExpectedAttention(KvState state, PromptQueries queries) {
    config = state.config();
    this.state = state;
    this.queries = queries;
    rotation = meanRotation(config.headDim(), queries.tokens());
  }

  /**
   * The score of every token, [layer][kvHead][token]; infinite for the first four.
   *
   * @param state a dense state of at least five tokens
   * @param queries the queries of exactly these tokens
   */
  public static float[][][] scores(KvState state, PromptQueries queries) {
    if (queries.tokens() != state.length() || state.length() <= SINKS) {
      throw new IllegalArgumentException(
          "queries of " + queries.tokens() + " tokens, the state has " + state.length()
              + "; must be as many and more than " + SINKS);
    }
    ExpectedAttention expected = new ExpectedAttention(state, queries);
    ModelConfig config = state.config();
    float[][][] scores = new float[config.layers()][config.kvHeads()][];
    for (int layer = 0; layer < scores.length; layer++) {
      for (int head = 0; head < scores[layer].length; head++) {
        scores[layer][head] = expected.scores(layer, head);
      }
    }
    return scores;
  }

  private float[] scores(int layer, int kvHead) {
    int tokens = state.length();
    float[][] keys = new float[tokens][config.headDim()];
    float[][] values = new float[tokens][config.headDim()];
    state.readKeys(layer, kvHead, tokens,
        (block, offset, stride, rows, first) -> state.element().widen(block, offset, stride, rows, keys,
            first));
    state.readValues(layer, kvHead, tokens,
        (block, offset, stride, rows, first) -> state.element().widen(block, offset, stride, rows, values,
            first));
    double[] mean = new double[tokens];
    for (int i = 0; i < config.group(); i++) {
      double[] weights = weights(layer, kvHead * config.group() + i, keys);
      for (int token = SINKS; token < tokens; token++) {
        mean[token] += weights[token] / config.group();
      }
    }
    float[] scores = new float[tokens];
    for (int token = 0; token < tokens; token++) {
      double norm = 0;
      for (float x : values[token]) {
        norm += (double) x * x;
      }
      scores[token] = token < SINKS ? Float.POSITIVE_INFINITY : (float) (mean[token] * Math.sqrt(norm));
    }
    return scores;
  }

  /** The share of attention that each key but the first ones can expect of one query head. */
  private double[] weights(int layer, int head, float[][] keys) {
    int dim = config.headDim();
    double[] mean = new double[dim];
    double[][] covariance = new double[dim][dim];
    statistics(layer, head, mean, covariance);
    mean = times(rotation, mean);
    covariance = rotated(covariance);
    double[] weights = new double[keys.length];
    double max = Double.NEGATIVE_INFINITY;
    for (int token = SINKS; token < keys.length; token++) {
      double linear = 0;
      double quadratic = 0;
      for (int i = 0; i < dim; i++) {
        linear += keys[token][i] * mean[i];
        double row = 0;
        for (int j = 0; j < dim; j++) {
          row += covariance[i][j] * keys[token][j];
        }
        quadratic += keys[token][i] * row;
      }
      weights[token] = linear / Math.sqrt(dim) + quadratic / (2.0 * dim);
      max = Math.max(max, weights[token]);
    }
    double sum = 0;
    for (int token = SINKS; token < keys.length; token++) {
      weights[token] = Math.exp(weights[token] - max);
      sum += weights[token];
    }
    for (int token = SINKS; token < keys.length; token++) {
      weights[token] /= sum;
    }
    return weights;
  }

  private void statistics(int layer, int head, double[] mean, double[][] covariance) {
    int dim = config.headDim();
    int from = head * dim;
    int count = queries.tokens() - SINKS;
    for (int token = SINKS; token < queries.tokens(); token++) {
      float[] row = queries.row(layer, token);
      for (int i = 0; i < dim; i++) {
        mean[i] += row[from + i];
      }
    }
    for (int i = 0; i < dim; i++) {
      mean[i] /= count;
    }
    double[] centred = new double[dim];
    for (int token = SINKS; token < queries.tokens(); token++) {
      float[] row = queries.row(layer, token);
      for (int i = 0; i < dim; i++) {
        centred[i] = row[from + i] - mean[i];
      }
      for (int i = 0; i < dim; i++) {
        double[] sums = covariance[i];
        double x = centred[i] / count;
        for (int j = 0; j < dim; j++) {
          sums[j] += x * centred[j];
        }
      }
    }
  }

  /** The mean of the rotations of the positions from {@code first} on. */
  private static double[][] meanRotation(int dim, int first) {
    double[][] mean = new double[dim][dim];
    for (int i = 0; i < dim; i += 2) {
      double frequency = Rotary.frequency(i / 2, dim);
      double cos = 0;
      double sin = 0;
      for (int position = first; position < first + FUTURE_POSITIONS; position++) {
        cos += Math.cos(position * frequency) / FUTURE_POSITIONS;
        sin += Math.sin(position * frequency) / FUTURE_POSITIONS;
      }
      mean[i][i] = cos;
      mean[i][i + 1] = -sin;
      mean[i + 1][i] = sin;
      mean[i + 1][i + 1] = cos;
    }
    return mean;
  }

  private static double[] times(double[][] matrix, double[] x) {
    double[] product = new double[x.length];
    for (int i = 0; i < x.length; i++) {
      for (int j = 0; j < x.length; j++) {
        product[i] += matrix[i][j] * x[j];
      }
    }
    return product;
  }

  /** R S Rᵀ; the rows of R S are taken once more by R, because S is symmetric. */
  private double[][] rotated(double[][] symmetric) {
    int dim = symmetric.length;
    double[][] once = new double[dim][]; // row j is R times column j of S, so once is (R S)ᵀ
    for (int j = 0; j < dim; j++) {
      once[j] = times(rotation, symmetric[j]);
    }
    double[][] twice = new double[dim][dim];
    double[] column = new double[dim];
    for (int i = 0; i < dim; i++) {
      for (int j = 0; j < dim; j++) {
        column[j] = once[j][i];
      }
      twice[i] = times(rotation, column);
    }
    return twice;
  }
}
