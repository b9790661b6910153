package io.kvcache.bench.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.kvcache.DType;
import io.kvcache.KvHalf;
import io.kvcache.KvShape;
import io.kvcache.internal.prune.Elements;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class AttentionProbeTest {
  private static final ModelConfig CONFIG = Models.ODD;
  private static final int PREFIX = 70;
  private static final int TOKENS = 5;

  private final ModelWeights weights = ModelWeights.random(CONFIG, 3);
  private final int[] prompt = Models.tokens(CONFIG, PREFIX, 4);
  private final int[] behind = Models.tokens(CONFIG, TOKENS, 5);

  /**
   * Goal: what is read is attention's definition, and of other KV only what depends on it changes. Method: softmax
   * written out in binary64 over the elements in the state; then values of one layer doubled.
   */
  @ParameterizedTest
  @EnumSource(mode = EnumSource.Mode.INCLUDE, names = {"BF16", "F16"})
  void readsWhatAttentionDoes(DType dtype) {
    try (Transformer model = new Transformer(weights, 1, dtype);
        KvState state = model.newState(PREFIX + TOKENS);
        KvState other = model.newState(PREFIX + TOKENS)) {
      PromptQueries queries = new PromptQueries();
      PrefillNotes notes = new PrefillNotes(List.of(), queries);
      model.prefill(state, notes, prompt);
      model.prefill(state, notes, behind);
      AttentionProbe probe = new AttentionProbe(state, queries, PREFIX);
      float[][] expected = new float[CONFIG.layers()][];
      Arrays.setAll(expected, layer -> definition(state, queries, layer, dtype));
      state.truncate(PREFIX);
      float[][] read = probe.outputs(state);
      for (int layer = 0; layer < expected.length; layer++) {
        assertArrayEquals(expected[layer], read[layer], 2e-4f, "layer " + layer);
      }
      for (int layer = 0; layer < CONFIG.layers(); layer++) {
        MemorySegment.copy(state.keys(layer), 0, other.keys(layer), 0, (long) PREFIX * state.rowBytes());
        if (layer != 1) {
          MemorySegment.copy(state.values(layer), 0, other.values(layer), 0,
              (long) PREFIX * state.rowBytes());
        }
      }
      other.restored(PREFIX);
      float[][] without = probe.outputs(other);
      assertEquals(PREFIX, other.length());
      for (int layer = 0; layer < expected.length; layer++) {
        assertEquals(layer != 1, Arrays.equals(read[layer], without[layer]), "layer " + layer);
      }
      queries.truncate(PREFIX);
      assertThrows(IllegalArgumentException.class, () -> new AttentionProbe(state, queries, PREFIX));
    }
  }

  private static float[] definition(KvState state, PromptQueries queries, int layer, DType dtype) {
    KvShape shape = new KvShape(KvHalf.KEYS, PREFIX + TOKENS, CONFIG.kvHeads(), CONFIG.headDim(), dtype);
    float[] keys = Elements.all(shape, state.keys(layer));
    float[] values = Elements.all(shape, state.values(layer));
    int dim = CONFIG.headDim();
    Rotary rotary = new Rotary(CONFIG.context(), dim);
    float[] outputs = new float[TOKENS * CONFIG.width()];
    for (int token = 0; token < TOKENS; token++) {
      float[] query = queries.row(layer, PREFIX + token).clone();
      rotary.rotate(query, PREFIX + token);
      for (int head = 0; head < CONFIG.heads(); head++) {
        int column = head / CONFIG.group() * dim;
        double[] weights = new double[PREFIX + token + 1];
        double sum = 0;
        for (int at = 0; at < weights.length; at++) {
          double score = 0;
          for (int d = 0; d < dim; d++) {
            score += (double) query[head * dim + d] * keys[at * CONFIG.kvWidth() + column + d];
          }
          weights[at] = Math.exp(score / Math.sqrt(dim));
          sum += weights[at];
        }
        for (int d = 0; d < dim; d++) {
          double output = 0;
          for (int at = 0; at < weights.length; at++) {
            output += weights[at] / sum * values[at * CONFIG.kvWidth() + column + d];
          }
          outputs[token * CONFIG.width() + head * dim + d] = (float) output;
        }
      }
    }
    return outputs;
  }

  /** Goal: the engine's states are not mixed up, which would give nonsense instead of an error. */
  @ParameterizedTest
  @EnumSource(mode = EnumSource.Mode.INCLUDE, names = {"BF16", "F16"})
  void statesOfTheOtherTypeAreRefused(DType dtype) {
    DType otherType = dtype == DType.F16 ? DType.BF16 : DType.F16;
    try (Transformer model = new Transformer(weights, 1, dtype);
        Transformer other = new Transformer(weights, 1, otherType);
        KvState state = model.newState(PREFIX)) {
      assertThrows(IllegalArgumentException.class, () -> other.prefill(state, prompt));
      float[] logits = model.prefill(state, prompt);
      try (KvState otherState = other.newState(PREFIX)) {
        assertArrayEquals(logits, other.prefill(otherState, prompt), 0.2f);
        assertFalse(Arrays.equals(logits, other.prefill(emptied(otherState), prompt)));
      }
    }
    assertThrows(IllegalArgumentException.class, () -> new Transformer(weights, 1, DType.F32));
  }

  private static KvState emptied(KvState state) {
    state.truncate(0);
    return state;
  }
}
