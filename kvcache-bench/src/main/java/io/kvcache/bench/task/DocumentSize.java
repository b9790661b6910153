package io.kvcache.bench.task;

/**
 * How long generated documents are, in tokens; the number of facts grows with the length.
 *
 * @param minTokens the shortest document, at least 40
 * @param maxTokens the longest document, at least 20 above {@code minTokens}, at most 4,096
 */
public record DocumentSize(int minTokens, int maxTokens) {
  /** What the shipped weights answer questions about. */
  public static final DocumentSize STANDARD = new DocumentSize(500, 2_000);

  public DocumentSize {
    if (minTokens < 40) {
      throw new IllegalArgumentException("minTokens is " + minTokens + ", at least 40 needed");
    }
    if (maxTokens < minTokens + 20 || maxTokens > 4_096) {
      throw new IllegalArgumentException(
          "maxTokens is " + maxTokens + ", must be in " + (minTokens + 20) + "..4096");
    }
  }
}
