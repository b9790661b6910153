package io.kvcache;

/**
 * How token dropping ranks the tokens of a context, for each layer and KV head: those that rank highest are kept.
 *
 * <p>The meaning is that of NVIDIA's kvpress. The first three rank by the keys or the position alone; the others need
 * attention, which only the engine has seen: it hands the ranking in as {@link TokenScores}.
 */
public enum DropMethod {
  /** Nothing is dropped. */
  NONE(0, "none"),
  /** The first four tokens of the context and the most recent ones (Xiao et al., 2023). */
  STREAMING_LLM(1, "streaming"),
  /** The smaller the L2 norm of the key, the higher: high-norm keys are dropped (Devoto et al., 2024). */
  KNORM(2, "knorm"),
  /** The less the key is like the mean of the normalised keys, the higher (Park et al., 2025). */
  KEYDIFF(3, "keydiff"),
  /** Attention from the last tokens of the prompt (Li et al., 2024). */
  SNAPKV(4, "snapkv"),
  /** Attention received from all tokens behind (Zhang et al., 2023), for each of them that could give any. */
  H2O(5, "h2o"),
  /** Attention expected of the queries to come, times the norm of the value (Devoto et al., 2025). */
  EXPECTED_ATTENTION(6, "expected"),
  /** The most attention received while the model repeats the prompt from its KV (Kim et al., 2025), or a mask. */
  KVZIP(7, "kvzip");

  private final int number;
  private final String label;

  DropMethod(int number, String label) {
    this.number = number;
    this.label = label;
  }

  /** The number that stands for this method in frames and notes, 0 to 127; never reused. */
  public int number() {
    return number;
  }

  /** A short name for metrics and reports. */
  public String label() {
    return label;
  }

  /** Whether the ranking has to come from the engine. */
  public boolean needsScores() {
    return number >= SNAPKV.number;
  }

  /** The method with this number, or null. */
  public static DropMethod numbered(int number) {
    for (DropMethod method : values()) {
      if (method.number == number) {
        return method;
      }
    }
    return null;
  }
}
