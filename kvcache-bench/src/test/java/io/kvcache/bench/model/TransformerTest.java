package io.kvcache.bench.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class TransformerTest {
  static Stream<ModelConfig> configs() {
    return Stream.of(Models.ODD, Models.RECALL);
  }

  /** Goal: fast paths compute the model. Method: logits and KV against the scalar twin, to the bit. */
  @ParameterizedTest
  @MethodSource("configs")
  void prefillEqualsScalarTwin(ModelConfig config) {
    ModelWeights weights = ModelWeights.random(config, 1);
    for (int length : new int[] {1, 5, RowPass.MAX_TOKENS, RowPass.MAX_TOKENS + 1, 75, 300}) {
      int[] tokens = Models.tokens(config, length, length);
      ScalarTwin twin = new ScalarTwin(weights, true, ScalarTwin.CAUSAL);
      float[][] expected = twin.run(tokens);
      try (Transformer model = new Transformer(weights, 2); KvState state = model.newState(length)) {
        float[][] actual = model.verify(state, tokens);
        for (int i = 0; i < length; i++) {
          assertArrayEquals(expected[i], actual[i], 0f, "length " + length + ", token " + i);
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("configs")
  void verifyEqualsSingleSteps(ModelConfig config) {
    ModelWeights weights = ModelWeights.random(config, 2);
    int[] prompt = Models.tokens(config, 200, 1);
    int[] draft = Models.tokens(config, 90, 2);
    try (Transformer model = new Transformer(weights, 2);
        KvState stepped = model.newState(300);
        KvState verified = model.newState(300)) {
      model.prefill(stepped, prompt);
      model.prefill(verified, prompt);
      float[][] steps = new float[draft.length][];
      for (int i = 0; i < draft.length; i++) {
        steps[i] = model.decode(stepped, draft[i]);
      }
      for (int x : new int[] {1, 2, 4, 8, 16, draft.length}) {
        float[][] logits = model.verify(verified, Arrays.copyOf(draft, x));
        for (int i = 0; i < x; i++) {
          assertArrayEquals(steps[i], logits[i], 0f, "x=" + x + " i=" + i);
        }
        assertArrayEquals(
            Models.export(stepped, prompt.length + x), Models.export(verified, prompt.length + x));
        verified.truncate(prompt.length);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("configs")
  void splitPrefillEqualsWhole(ModelConfig config) {
    ModelWeights weights = ModelWeights.random(config, 3);
    int[] prompt = Models.tokens(config, 600, 4);
    SplittableRandom random = new SplittableRandom(5);
    try (Transformer model = new Transformer(weights, 2);
        KvState whole = model.newState(600);
        KvState split = model.newState(600)) {
      float[] expected = model.prefill(whole, prompt);
      for (int round = 0; round < 5; round++) {
        float[] actual = null;
        for (int from = 0; from < prompt.length;) {
          int to = Math.min(prompt.length, from + 1 + random.nextInt(random.nextBoolean() ? 40 : 400));
          actual = model.prefill(split, Arrays.copyOfRange(prompt, from, to));
          from = to;
        }
        assertArrayEquals(expected, actual, 0f);
        assertArrayEquals(Models.export(whole, 600), Models.export(split, 600));
        split.truncate(0);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("configs")
  void threadsDoNotChangeResults(ModelConfig config) {
    ModelWeights weights = ModelWeights.random(config, 6);
    int[] prompt = Models.tokens(config, 613, 7);
    float[] expected = null;
    float[][][] expectedScores = null;
    for (int threads : new int[] {1, 2, 3, 8}) {
      AttentionScores scores = AttentionScores.cumulative();
      try (Transformer model = new Transformer(weights, threads); KvState state = model.newState(613)) {
        float[] actual = model.prefill(state, scores, prompt);
        expected = expected == null ? actual : expected;
        expectedScores = expectedScores == null ? scores.mass() : expectedScores;
        assertArrayEquals(expected, actual, 0f, threads + " threads");
        assertArrayEquals(expectedScores, scores.mass(), threads + " threads");
      }
    }
  }

  @Test
  void generatesGreedilyAndStops() {
    ModelWeights weights = ModelWeights.random(Models.RECALL, 8);
    int[] prompt = Models.tokens(Models.RECALL, 30, 9);
    try (Transformer model = new Transformer(weights, 1); KvState state = model.newState(100)) {
      float[] logits = model.prefill(state, prompt);
      int[] generated = model.generate(state, logits, 20, -1);
      assertEquals(20, generated.length);
      assertEquals(prompt.length + 19, state.length());
      assertEquals(Transformer.argmax(logits), generated[0]);

      state.truncate(prompt.length);
      int stop = generated[7];
      int first = 0;
      while (generated[first] != stop) {
        first++;
      }
      assertArrayEquals(Arrays.copyOf(generated, first), model.generate(state, logits, 20, stop));
    }
  }

  @Test
  void closeEndsThreads() throws InterruptedException {
    Transformer model = new Transformer(ModelWeights.random(Models.RECALL, 1), 4);
    try (KvState state = model.newState(200)) {
      model.prefill(state, Models.tokens(Models.RECALL, 200, 1));
    }
    List<Thread> helpers = Thread.getAllStackTraces().keySet().stream()
        .filter(thread -> thread.getName().startsWith(Workers.THREAD_PREFIX)).toList();
    assertFalse(helpers.isEmpty());
    model.close();
    model.close();
    for (Thread helper : helpers) {
      helper.join(10_000);
      assertFalse(helper.isAlive(), helper.getName());
    }
  }

  @Test
  void refusesBadArguments() {
    ModelWeights weights = ModelWeights.random(Models.RECALL, 1);
    refused("threads is 0", () -> new Transformer(weights, 0));
    try (Transformer model = new Transformer(weights, 1);
        KvState state = model.newState(10);
        KvState other = new KvState(Models.ODD, 10)) {
      refused("0 tokens", () -> model.prefill(state));
      refused("token is -1, must be 0 to 255", () -> model.prefill(state, 3, -1));
      refused("token is 256, must be 0 to 255", () -> model.decode(state, 256));
      refused("11 tokens, must be 1 to the room left, 10", () -> model.prefill(state, new int[11]));
      refused("the model is", () -> model.decode(other, 1));
      refused("capacityTokens is 0, must be 1 to the context, 700", () -> model.newState(0));
      refused("capacityTokens is 701", () -> model.newState(701));
      assertEquals(0, state.length(), "nothing was appended");
    }
  }

  static void refused(String message, Runnable action) {
    var e = assertThrows(IllegalArgumentException.class, action::run);
    assertTrue(e.getMessage().contains(message), e.getMessage());
  }
}
