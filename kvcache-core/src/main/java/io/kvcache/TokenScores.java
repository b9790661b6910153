package io.kvcache;

import java.util.Arrays;
import java.util.EnumMap;
import java.util.Map;
import java.util.Set;

/**
 * How much the tokens of a prompt matter, as the engine's attention saw it, for the {@linkplain
 * DropMethod#needsScores dropping methods that need it}. Immutable; the arrays belong to it once given.
 *
 * <p>Scores are {@code [layer][kvHead][token]} over all tokens of the prompt; higher is kept rather, infinity first of
 * all, minus infinity never for its own sake. They are compared within one layer and head only. {@link #snapKv},
 * {@link #h2o} and {@link #kvZip} make them of attention.
 *
 * <p>So scores of infinity and minus infinity are a <em>mask</em>: given {@link #with} any method, and a share that has
 * room for what it keeps, they decide alone. Fewer tokens than the share are then kept, rather than one that the mask
 * drops. All heads of a layer store equally many tokens of a chunk, though: where a mask wants different numbers, it is
 * their mean, and heads that wanted fewer keep some that were to be dropped, the latest.
 */
public final class TokenScores {
  private static final TokenScores NONE = new TokenScores(Map.of());
  /** Neighbours averaged over, as in kvpress. */
  private static final int SNAPKV_KERNEL = 5;
  /** First tokens of a prompt, which KVzip keeps whatever they say, as in kvpress. */
  private static final int KVZIP_SINKS = 4;

  private final Map<DropMethod, float[][][]> byMethod;

  private TokenScores(Map<DropMethod, float[][][]> byMethod) {
    this.byMethod = byMethod;
  }

  /** No scores. */
  public static TokenScores none() {
    return NONE;
  }

  /**
   * With these scores for a method.
   *
   * @throws IllegalArgumentException when the method needs none, rows differ in length or are empty, or one is NaN
   */
  public TokenScores with(DropMethod method, float[][][] scores) {
    if (!method.needsScores()) {
      throw new IllegalArgumentException(method + " takes no scores");
    }
    requireRegular(method, scores);
    Map<DropMethod, float[][][]> all = new EnumMap<>(DropMethod.class);
    all.putAll(byMethod);
    all.put(method, scores);
    return new TokenScores(all);
  }

  private static void requireRegular(DropMethod method, float[][][] scores) {
    int tokens = scores.length == 0 || scores[0].length == 0 ? 0 : scores[0][0].length;
    if (tokens == 0) {
      throw new IllegalArgumentException("scores of " + method + " are empty");
    }
    for (int layer = 0; layer < scores.length; layer++) {
      for (int head = 0; head < scores[layer].length; head++) {
        if (scores[layer][head].length != tokens) {
          throw new IllegalArgumentException("scores of " + method + " have " + scores[layer][head].length
              + " tokens in layer " + layer + ", head " + head + ", and " + tokens + " in the first");
        }
        for (int token = 0; token < tokens; token++) {
          if (Float.isNaN(scores[layer][head][token])) {
            throw new IllegalArgumentException("score of " + method + " for layer " + layer + ", head " + head
                + ", token " + token + " is NaN");
          }
        }
      }
    }
  }

  /**
   * SnapKV's scores (Li et al., 2024; kvpress's {@code SnapKVPress}): what the last tokens attend to, averaged over
   * five neighbours; those tokens themselves are always kept.
   *
   * @param attention {@code [layer][kvHead][token]}: attention given to a token by the last {@code window} tokens,
   *     summed over them and the query heads of a KV head
   * @param window tokens at the end that attend, 1 to the tokens there are
   */
  public TokenScores snapKv(float[][][] attention, int window) {
    requireRegular(DropMethod.SNAPKV, attention);
    int tokens = attention[0][0].length;
    Checks.requireBetween(window, 1, tokens, "window");
    float[][][] scores = new float[attention.length][][];
    for (int layer = 0; layer < scores.length; layer++) {
      scores[layer] = new float[attention[layer].length][];
      for (int head = 0; head < scores[layer].length; head++) {
        scores[layer][head] = pooled(attention[layer][head], tokens - window);
      }
    }
    return with(DropMethod.SNAPKV, scores);
  }

  /** Averages over neighbours before {@code end}; what lies outside counts as zero. From {@code end} on: infinite. */
  private static float[] pooled(float[] row, int end) {
    float[] pooled = new float[row.length];
    for (int token = 0; token < row.length; token++) {
      float sum = 0;
      int reach = SNAPKV_KERNEL / 2;
      for (int near = Math.max(0, token - reach); near < Math.min(end, token + reach + 1); near++) {
        sum += row[near];
      }
      pooled[token] = token < end ? sum / SNAPKV_KERNEL : Float.POSITIVE_INFINITY;
    }
    return pooled;
  }

  /**
   * H2O's scores (Zhang et al., 2023; kvpress's {@code ObservedAttentionPress}): the attention a token received, for
   * each token that could give it any.
   *
   * @param attention {@code [layer][kvHead][token]}: attention given to a token by all tokens of the prompt, summed
   */
  public TokenScores h2o(float[][][] attention) {
    requireRegular(DropMethod.H2O, attention);
    int tokens = attention[0][0].length;
    float[][][] scores = new float[attention.length][][];
    for (int layer = 0; layer < scores.length; layer++) {
      scores[layer] = new float[attention[layer].length][tokens];
      for (int head = 0; head < scores[layer].length; head++) {
        for (int token = 0; token < tokens; token++) {
          scores[layer][head][token] = attention[layer][head][token] / (tokens - token);
        }
      }
    }
    return with(DropMethod.H2O, scores);
  }

  /**
   * KVzip's scores (Kim et al., 2025, section 3; kvpress's {@code KVzipPress}): having read the prompt, the engine has
   * the model read it once more behind itself, in pieces of about 2,048 tokens if it is long, each behind the prompt
   * alone, as if it answered a request to repeat that. What the model does not look at even for that is not needed for
   * any question. The first four tokens are always kept. Costs the engine about as much as the prefill did, or twice.
   *
   * @param attention {@code [layer][kvHead][token]}: the greatest weight, 0 to 1, that a query of a repeated token gave
   *     a token of the prompt, over all of them and the query heads of a KV head
   */
  public TokenScores kvZip(float[][][] attention) {
    requireRegular(DropMethod.KVZIP, attention);
    float[][][] scores = new float[attention.length][][];
    for (int layer = 0; layer < scores.length; layer++) {
      scores[layer] = new float[attention[layer].length][];
      for (int head = 0; head < scores[layer].length; head++) {
        float[] row = attention[layer][head].clone();
        Arrays.fill(row, 0, Math.min(KVZIP_SINKS, row.length), Float.POSITIVE_INFINITY);
        scores[layer][head] = row;
      }
    }
    return with(DropMethod.KVZIP, scores);
  }

  /** Those for these methods alone. */
  public TokenScores only(Set<DropMethod> methods) {
    Map<DropMethod, float[][][]> some = new EnumMap<>(DropMethod.class);
    some.putAll(byMethod);
    some.keySet().retainAll(methods);
    return new TokenScores(some);
  }

  /** The methods there are scores for. */
  public Set<DropMethod> methods() {
    return Set.copyOf(byMethod.keySet());
  }

  /**
   * Scores of one layer and head; not to be changed.
   *
   * @return null when there are none for the method
   */
  public float[] of(DropMethod method, int layer, int kvHead) {
    float[][][] scores = byMethod.get(method);
    return scores == null ? null : scores[layer][kvHead];
  }

  /**
   * Checks that the scores are of a prompt of {@code tokens} tokens of this layout.
   *
   * @throws IllegalArgumentException when they are not, with both shapes
   */
  public void requireShape(KvLayout layout, int tokens) {
    byMethod.forEach((method, scores) -> {
      boolean fits = scores.length == layout.layers().size() && scores[0][0].length == tokens;
      for (int layer = 0; fits && layer < scores.length; layer++) {
        fits = scores[layer].length == layout.layer(layer).kvHeads();
      }
      if (!fits) {
        throw new IllegalArgumentException("scores of " + method + " are for " + shape(scores)
            + " layers, heads of the first and tokens; the prompt has [" + layout.layers().size() + ", "
            + layout.layer(0).kvHeads() + ", " + tokens + "]");
      }
    });
  }

  private static String shape(float[][][] scores) {
    return "[" + scores.length + ", " + scores[0].length + ", " + scores[0][0].length + "]";
  }
}
