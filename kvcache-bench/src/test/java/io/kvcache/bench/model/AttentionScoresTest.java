package io.kvcache.bench.model;

import static io.kvcache.bench.model.TransformerTest.refused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class AttentionScoresTest {
  private static final ModelConfig CONFIG = Models.ODD;
  private static final int TOKENS = 400;

  private final ModelWeights weights = ModelWeights.random(CONFIG, 1);
  private final int[] prompt = Models.tokens(CONFIG, TOKENS, 2);

  /** Every query spends 1 per head, whatever the window; the first token alone sees only itself. */
  @Test
  void massAddsUpToQueries() {
    for (int from : new int[] {0, 1, 395, 399}) {
      float[][][] mass = record(AttentionScores.ofQueriesFrom(from), TOKENS, TOKENS);
      for (float[][] heads : mass) {
        for (float[] positions : heads) {
          assertEquals(TOKENS, positions.length);
          double sum = 0;
          for (float weight : positions) {
            sum += weight;
          }
          assertEquals((TOKENS - from) * (double) CONFIG.group(), sum, 1e-3 * TOKENS, "from " + from);
        }
      }
    }
  }

  @Test
  void windowIsWhatTheCumulativeSumGains() {
    float[][][] before = record(AttentionScores.cumulative(), 380, 380);
    float[][][] all = record(AttentionScores.cumulative(), TOKENS, TOKENS);
    float[][][] window = record(AttentionScores.ofQueriesFrom(380), TOKENS, TOKENS);
    for (int layer = 0; layer < CONFIG.layers(); layer++) {
      for (int head = 0; head < CONFIG.kvHeads(); head++) {
        for (int p = 0; p < TOKENS; p++) {
          float earlier = p < 380 ? before[layer][head][p] : 0;
          assertEquals(all[layer][head][p] - earlier, window[layer][head][p], 1e-3f);
        }
      }
    }
  }

  /** Rows, columns and any split accumulate the same, but for the last bits of the sums. */
  @Test
  void splitsAgree() {
    float[][][] whole = record(AttentionScores.cumulative(), TOKENS, TOKENS);
    float[][][] steps = record(AttentionScores.cumulative(), TOKENS, 1);
    float[][][] parts = record(AttentionScores.cumulative(), TOKENS, 90);
    for (int layer = 0; layer < CONFIG.layers(); layer++) {
      for (int head = 0; head < CONFIG.kvHeads(); head++) {
        assertArrayEquals(whole[layer][head], steps[layer][head], 1e-3f);
        assertArrayEquals(whole[layer][head], parts[layer][head], 1e-3f);
      }
    }
  }

  @Test
  void recordingDoesNotChangeLogits() {
    try (Transformer model = new Transformer(weights, 2);
        KvState plain = model.newState(TOKENS);
        KvState recorded = model.newState(TOKENS)) {
      assertArrayEquals(
          model.prefill(plain, prompt),
          model.prefill(recorded, AttentionScores.cumulative(), prompt), 0f);
    }
  }

  @Test
  void droppedPositionsReceiveNothing() {
    int[][] kept = {{0, 7, 31}, {1, 2, 49}};
    for (int tokens : new int[] {3, RowPass.MAX_TOKENS + 9}) { // rows and columns
      try (Transformer model = new Transformer(weights, 2);
          KvState dense = model.newState(TOKENS);
          KvState pruned = model.newState(TOKENS)) {
        model.prefill(dense, Arrays.copyOf(prompt, 50));
        PrunedLayer[] layers = new PrunedLayer[CONFIG.layers()];
        Arrays.setAll(layers, layer -> Models.prune(dense, layer, kept));
        pruned.appendPruned(50, Arrays.asList(layers));
        AttentionScores scores = AttentionScores.cumulative();
        model.prefill(pruned, scores, Arrays.copyOf(prompt, tokens));
        float[] mass = scores.mass()[1][1];
        int[] seen = IntStream.range(0, 50).filter(p -> mass[p] > 0).toArray();
        assertArrayEquals(kept[1], seen);
      }
    }
  }

  @Test
  void refusesOtherModelsAndBadWindows() {
    refused("position is -1", () -> AttentionScores.ofQueriesFrom(-1));
    assertEquals(0, AttentionScores.cumulative().mass().length);
    AttentionScores used = AttentionScores.cumulative();
    try (Transformer model = new Transformer(weights, 1);
        Transformer other = new Transformer(ModelWeights.random(Models.RECALL, 1), 1);
        KvState state = model.newState(10);
        KvState otherState = other.newState(10)) {
      model.prefill(state, used, 1, 2, 3);
      refused("scores of 3 layers and 2 KV heads, the model has 2 and 2",
          () -> other.prefill(otherState, used, 1, 2, 3));
    }
  }

  /** The mass for the first {@code total} tokens of the prompt in calls of {@code perCall}. */
  private float[][][] record(AttentionScores scores, int total, int perCall) {
    try (Transformer model = new Transformer(weights, 2); KvState state = model.newState(TOKENS)) {
      for (int from = 0; from < total; from += perCall) {
        int to = Math.min(total, from + perCall);
        model.prefill(state, scores, Arrays.copyOfRange(prompt, from, to));
      }
    }
    return scores.mass();
  }
}
