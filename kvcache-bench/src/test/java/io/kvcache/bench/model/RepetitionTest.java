package io.kvcache.bench.model;

import static io.kvcache.bench.model.TransformerTest.refused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

class RepetitionTest {
  private static final ModelConfig CONFIG = Models.ODD;

  private final ModelWeights weights = ModelWeights.random(CONFIG, 1);

  /**
   * Goal: the scores are those of the definition. Method: the plain twin reads prompt and repeated tokens; every
   * query's softmax over all keys up to its own is written out. Lengths for which all is repeated at once, and in two
   * pieces.
   */
  @Test
  void equalsItsDefinition() {
    requireDefinition(90, List.of(new int[] {0, 90}));
    requireDefinition(360, List.of(new int[] {0, 332}, new int[] {324, 360}));
  }

  /** {@code pieces} are first token and end of what is read again, the lead included; the context is of 700 tokens. */
  private void requireDefinition(int tokens, List<int[]> pieces) {
    int[] prompt = Models.tokens(CONFIG, tokens, 2);
    float[][][] actual;
    try (Transformer model = new Transformer(weights, 2); KvState state = model.newState(tokens)) {
      model.prefill(state, prompt);
      long before = state.checksum();
      actual = Repetition.attention(model, state, prompt);
      assertEquals(before, state.checksum());
    }
    double[][][] expected = new double[CONFIG.layers()][CONFIG.kvHeads()][tokens];
    for (int[] piece : pieces) {
      addGreatest(prompt, Arrays.copyOfRange(prompt, piece[0], piece[1]), expected);
    }
    for (int layer = 0; layer < expected.length; layer++) {
      for (int head = 0; head < expected[layer].length; head++) {
        assertEquals(tokens, actual[layer][head].length);
        for (int token = 0; token < tokens; token++) {
          double wanted = expected[layer][head][token];
          assertEquals(wanted, actual[layer][head][token], 1e-3 * wanted + 1e-7,
              "layer " + layer + " head " + head + " token " + token + " of " + tokens);
        }
      }
    }
  }

  private void addGreatest(int[] prompt, int[] repeated, double[][][] greatest) {
    ScalarTwin twin = new ScalarTwin(weights, true, ScalarTwin.CAUSAL);
    twin.run(prompt);
    twin.run(repeated);
    PromptQueries queries = new PromptQueries();
    try (Transformer model = new Transformer(weights, 1);
        KvState state = model.newState(prompt.length + repeated.length)) {
      PrefillNotes notes = new PrefillNotes(List.of(), queries);
      model.prefill(state, notes, prompt);
      model.prefill(state, notes, repeated);
    }
    Rotary rotary = new Rotary(CONFIG.context(), CONFIG.headDim());
    for (int layer = 0; layer < CONFIG.layers(); layer++) {
      for (int position = prompt.length; position < prompt.length + repeated.length; position++) {
        float[] query = queries.row(layer, position).clone();
        rotary.rotate(query, position);
        for (int head = 0; head < CONFIG.heads(); head++) {
          double[] weight = softmax(twin.keys.get(layer), query, head, position);
          double[] of = greatest[layer][head / CONFIG.group()];
          for (int token = 0; token < prompt.length; token++) {
            of[token] = Math.max(of[token], weight[token]);
          }
        }
      }
    }
  }

  private static double[] softmax(List<float[]> keys, float[] query, int head, int last) {
    int dim = CONFIG.headDim();
    double[] weight = new double[last + 1];
    double sum = 0;
    for (int key = 0; key <= last; key++) {
      double dot = 0;
      for (int d = 0; d < dim; d++) {
        dot += (double) query[head * dim + d] * keys.get(key)[head / CONFIG.group() * dim + d];
      }
      weight[key] = Math.exp(dot / Math.sqrt(dim));
      sum += weight[key];
    }
    for (int key = 0; key <= last; key++) {
      weight[key] /= sum;
    }
    return weight;
  }

  /** Rows, columns and any split find the same greatest weights: unlike sums they depend on no order. */
  @Test
  void greatestDoesNotDependOnTheSplit() {
    int[] prompt = Models.tokens(CONFIG, 150, 3);
    AttentionScores whole = AttentionScores.greatest();
    AttentionScores steps = AttentionScores.greatest();
    try (Transformer model = new Transformer(weights, 2);
        KvState one = model.newState(150);
        KvState other = model.newState(150)) {
      model.prefill(one, whole, prompt);
      for (int from = 0; from < 150; from += 30) {
        model.prefill(other, steps, Arrays.copyOfRange(prompt, from, from + 30));
      }
    }
    for (int layer = 0; layer < CONFIG.layers(); layer++) {
      for (int head = 0; head < CONFIG.kvHeads(); head++) {
        assertArrayEquals(whole.mass()[layer][head], steps.mass()[layer][head], 0f);
      }
    }
    assertEquals(1, whole.mass()[0][0][0], "the first token sees only itself");
  }

  @Test
  void refusesWhatItCannotRepeat() {
    try (Transformer model = new Transformer(weights, 1); KvState state = model.newState(700)) {
      refused("a prompt of 0 tokens", () -> Repetition.attention(model, state));
      int[] prompt = Models.tokens(CONFIG, 680, 4);
      model.prefill(state, prompt);
      refused("a prompt of 680 tokens, the state has 680, the model room for 700",
          () -> Repetition.attention(model, state, prompt));
      refused("a prompt of 2 tokens, the state has 680", () -> Repetition.attention(model, state, 1, 2));
    }
  }
}
