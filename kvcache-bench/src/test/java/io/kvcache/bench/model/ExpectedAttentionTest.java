package io.kvcache.bench.model;

import static io.kvcache.bench.model.TransformerTest.refused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

class ExpectedAttentionTest {
  private static final ModelConfig CONFIG = Models.ODD;
  private static final int TOKENS = 150;

  private final ModelWeights weights = ModelWeights.random(CONFIG, 1);
  private final int[] prompt = Models.tokens(CONFIG, TOKENS, 2);

  /**
   * Goal: the closed form is that of the definition. Method: for every key and head, the mean of the logarithm of
   * e^(q · k) over the observed queries and the spread of q · k, with queries turned by each of the next positions
   * and averaged: mean and half the variance are what the form has, without any matrix.
   */
  @Test
  void equalsItsDefinition() {
    try (Transformer model = new Transformer(weights, 2); KvState state = model.newState(TOKENS)) {
      PromptQueries queries = new PromptQueries();
      model.prefill(state, new PrefillNotes(List.of(), queries), prompt);
      float[][][] scores = ExpectedAttention.scores(state, queries);
      ScalarTwin twin = new ScalarTwin(weights, true, ScalarTwin.CAUSAL);
      twin.run(prompt);
      for (int layer = 0; layer < CONFIG.layers(); layer++) {
        for (int kvHead = 0; kvHead < CONFIG.kvHeads(); kvHead++) {
          float[] actual = scores[layer][kvHead];
          double[] expected = naive(twin, queries, layer, kvHead);
          for (int token = 0; token < 4; token++) {
            assertEquals(Float.POSITIVE_INFINITY, actual[token]);
          }
          for (int token = 4; token < TOKENS; token++) {
            assertEquals(expected[token], actual[token], 1e-4 * expected[token],
                "layer " + layer + " head " + kvHead + " token " + token);
          }
        }
      }
    }
  }

  private static double[] naive(ScalarTwin twin, PromptQueries queries, int layer, int kvHead) {
    int dim = CONFIG.headDim();
    double[] scores = new double[TOKENS];
    for (int head = kvHead * CONFIG.group(); head < (kvHead + 1) * CONFIG.group(); head++) {
      double[][] turned = new double[TOKENS][];
      for (int token = 4; token < TOKENS; token++) {
        turned[token] = meanTurned(
            Arrays.copyOfRange(queries.row(layer, token), head * dim, (head + 1) * dim));
      }
      double[] logits = new double[TOKENS];
      double sum = 0;
      for (int key = 4; key < TOKENS; key++) {
        float[] row = twin.keys.get(layer).get(key);
        double mean = 0;
        double squares = 0;
        for (int token = 4; token < TOKENS; token++) {
          double dot = 0;
          for (int d = 0; d < dim; d++) {
            dot += turned[token][d] * row[kvHead * dim + d] / Math.sqrt(dim);
          }
          mean += dot / (TOKENS - 4);
          squares += dot * dot / (TOKENS - 4);
        }
        logits[key] = mean + (squares - mean * mean) / 2;
        sum += Math.exp(logits[key]);
      }
      for (int key = 4; key < TOKENS; key++) {
        double norm = 0;
        for (int d = 0; d < dim; d++) {
          norm += Math.pow(twin.values.get(layer).get(key)[kvHead * dim + d], 2);
        }
        scores[key] += Math.exp(logits[key]) / sum * Math.sqrt(norm) / CONFIG.group();
      }
    }
    return scores;
  }

  private static double[] meanTurned(float[] query) {
    Rotary rotary = new Rotary(TOKENS + 512, query.length);
    double[] mean = new double[query.length];
    for (int position = TOKENS; position < TOKENS + 512; position++) {
      float[] turned = query.clone();
      rotary.rotate(turned, position);
      for (int d = 0; d < mean.length; d++) {
        mean[d] += turned[d] / 512;
      }
    }
    return mean;
  }

  /** Rows, columns and any split note the same queries; two attention sums may be taken at once. */
  @Test
  void notesDoNotDependOnTheSplit() {
    PromptQueries whole = new PromptQueries();
    PromptQueries steps = new PromptQueries();
    AttentionScores alone = AttentionScores.ofQueriesFrom(120);
    try (Transformer model = new Transformer(weights, 2);
        KvState one = model.newState(TOKENS);
        KvState other = model.newState(TOKENS);
        KvState third = model.newState(TOKENS)) {
      AttentionScores all = AttentionScores.cumulative();
      AttentionScores window = AttentionScores.ofQueriesFrom(120);
      model.prefill(one, new PrefillNotes(List.of(window, all), whole), prompt);
      model.prefill(third, alone, prompt);
      assertArrayEquals(alone.mass()[1][1], window.mass()[1][1], 0f);
      AttentionScores allByRows = AttentionScores.cumulative();
      AttentionScores windowByRows = AttentionScores.ofQueriesFrom(120);
      for (int from = 0; from < TOKENS; from += 30) {
        model.prefill(other, new PrefillNotes(List.of(windowByRows, allByRows), steps),
            Arrays.copyOfRange(prompt, from, from + 30));
      }
      assertArrayEquals(window.mass()[2][1], windowByRows.mass()[2][1], 1e-3f);
      assertArrayEquals(all.mass()[2][1], allByRows.mass()[2][1], 1e-3f);
      for (int token = 0; token < TOKENS; token++) {
        assertArrayEquals(whole.row(2, token), steps.row(2, token), 0f);
      }
    }
  }

  @Test
  void refusesQueriesOfOtherTokens() {
    try (Transformer model = new Transformer(weights, 1); KvState state = model.newState(10)) {
      PromptQueries queries = new PromptQueries();
      PrefillNotes notes = new PrefillNotes(List.of(), queries);
      model.prefill(state, notes, 1, 2, 3, 4);
      refused("more than 4", () -> ExpectedAttention.scores(state, queries));
      model.prefill(state, 5);
      refused("queries of 4 tokens, the state has 5", () -> ExpectedAttention.scores(state, queries));
      refused("queries of 4 tokens, the state has 5", () -> model.prefill(state, notes, 6));
    }
  }
}
