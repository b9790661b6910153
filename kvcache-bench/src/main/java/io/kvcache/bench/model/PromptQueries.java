package io.kvcache.bench.model;

import java.util.Arrays;

/**
 * The queries of a prompt as they are before rotation and scaling, for every layer and token: what expected attention
 * learns from which queries may come.
 *
 * <p>Pass the same object to several {@code prefill} calls on one state to keep adding; the first call must be on an
 * empty state. Threads: one call at a time; during a call the engine's threads write rows of their own.
 */
public final class PromptQueries {
  private float[][][] rows = {};
  private int tokens;

  /** Holds nothing yet. */
  public PromptQueries() {}

  /** Tokens seen. */
  int tokens() {
    return tokens;
  }

  /** The queries of one token, all heads. */
  float[] row(int layer, int token) {
    return rows[layer][token];
  }

  /** Makes room for positions from {@code start} up to {@code end}. */
  void grow(ModelConfig config, int start, int end) {
    if (start != tokens) {
      throw new IllegalArgumentException("queries of " + tokens + " tokens, the state has " + start);
    }
    if (rows.length == 0) {
      rows = new float[config.layers()][0][];
    }
    if (rows.length != config.layers() || (start > 0 && rows[0][0].length != config.width())) {
      throw new IllegalArgumentException(
          "queries of another model: it has " + rows.length + " layers, not " + config.layers());
    }
    for (int layer = 0; layer < rows.length; layer++) {
      rows[layer] = Arrays.copyOf(rows[layer], end);
      for (int token = start; token < end; token++) {
        rows[layer][token] = new float[config.width()];
      }
    }
    tokens = end;
  }

  /** Forgets the tokens at positions {@code length} and beyond, as the state does that they came from. */
  public void truncate(int length) {
    if (length < 0 || length > tokens) {
      throw new IllegalArgumentException("cannot truncate to " + length + ", must be 0 to " + tokens);
    }
    for (int layer = 0; layer < rows.length; layer++) {
      rows[layer] = Arrays.copyOf(rows[layer], length);
    }
    tokens = length;
  }

  /** Notes one token's queries down, [width]. */
  void put(int layer, int position, float[] queries) {
    System.arraycopy(queries, 0, rows[layer][position], 0, queries.length);
  }

  /** Notes down the queries of {@code columns} tokens from {@code position} on, [width][columns]. */
  void put(int layer, int position, float[][] queries, int columns) {
    for (int j = 0; j < columns; j++) {
      float[] row = rows[layer][position + j];
      for (int i = 0; i < row.length; i++) {
        row[i] = queries[i][j];
      }
    }
  }
}
