package io.kvcache.bench.model;

/**
 * The shape of a model.
 *
 * @param width elements of the residual stream
 * @param hidden elements of the gated MLP's inner layer
 * @param layers decoder layers
 * @param heads query heads; {@code width / heads} is the head size, which is even
 * @param kvHeads key/value heads; divides {@code heads}
 * @param vocabulary tokens known; ids run from 0 to {@code vocabulary - 1}
 * @param context positions the model was made for
 * @param tied whether the output matrix is the embedding matrix
 */
public record ModelConfig(
    int width, int hidden, int layers, int heads, int kvHeads, int vocabulary, int context, boolean tied) {

  /** Checks every value against its limit, so that sizes computed from them cannot overflow a long. */
  public ModelConfig {
    requireRange(width, 1 << 14, "width");
    requireRange(hidden, 1 << 16, "hidden");
    requireRange(layers, 1 << 10, "layers");
    requireRange(heads, 1 << 10, "heads");
    requireRange(kvHeads, heads, "kvHeads");
    requireRange(vocabulary, 1 << 20, "vocabulary");
    requireRange(context, 1 << 20, "context");
    requireMultiple(width, heads * 2, "width", "2 x heads (rotary pairs need an even head size)");
    requireMultiple(heads, kvHeads, "heads", "kvHeads");
  }

  /** Elements of one head. */
  public int headDim() {
    return width / heads;
  }

  /** Elements of one token's key row (and value row) in one layer, all heads. */
  public int kvWidth() {
    return kvHeads * headDim();
  }

  /** Query heads that share one key/value head. */
  public int group() {
    return heads / kvHeads;
  }

  /** Factor on queries, 1 / sqrt(headDim). */
  float queryScale() {
    return (float) (1 / Math.sqrt(headDim()));
  }

  /** Multiply-adds of one token in all weight matrices of all layers, without attention and logits. */
  long layerMultiplyAdds() {
    long attention = 2L * width * width + 2L * width * kvWidth();
    return layers * (attention + 3L * width * hidden);
  }

  private static void requireRange(int value, int limit, String name) {
    if (value < 1 || value > limit) {
      throw new IllegalArgumentException(name + " is " + value + ", must be 1 to " + limit);
    }
  }

  private static void requireMultiple(int value, int divisor, String name, String of) {
    if (value % divisor != 0) {
      throw new IllegalArgumentException(
          name + " is " + value + ", must be a multiple of " + of + " = " + divisor);
    }
  }
}
