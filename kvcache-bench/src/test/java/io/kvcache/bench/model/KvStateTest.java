package io.kvcache.bench.model;

import static io.kvcache.bench.model.TransformerTest.refused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class KvStateTest {
  private static final ModelConfig CONFIG = Models.ODD;
  private static final int PREFIX = 150;

  private final ModelWeights weights = ModelWeights.random(CONFIG, 1);
  private final int[] prompt = Models.tokens(CONFIG, PREFIX, 2);
  private final int[] suffix = Models.tokens(CONFIG, 80, 3);

  @Test
  void restoredStateContinuesBitIdentically() {
    try (Transformer model = new Transformer(weights, 2);
        KvState original = model.newState(300);
        KvState copy = model.newState(300)) {
      model.prefill(original, prompt);
      byte[] exported = Models.export(original, PREFIX);
      Models.restore(copy, exported, PREFIX);
      assertEquals(PREFIX, copy.length());
      assertArrayEquals(model.prefill(original, suffix), model.prefill(copy, suffix), 0f);
      assertArrayEquals(model.decode(original, 5), model.decode(copy, 5), 0f);
    }
  }

  /** Goal: the tests here can fail. Method: one changed exponent bit must reach the logits. */
  @Test
  void corruptedStateChangesLogits() {
    try (Transformer model = new Transformer(weights, 2);
        KvState original = model.newState(300);
        KvState copy = model.newState(300)) {
      model.prefill(original, prompt);
      byte[] exported = Models.export(original, PREFIX);
      exported[exported.length - 1] ^= 1; // the upper byte of the last layer's last value
      Models.restore(copy, exported, PREFIX);
      assertFalse(Arrays.equals(model.prefill(original, suffix), model.prefill(copy, suffix)));
    }
  }

  /**
   * Goal: dropped tokens count as never seen, later ones keep their positions. Method: random subsets per
   * layer and head, against the twin with a mask for queries after the prefix, to the bit: sums run over the
   * same entries in the same order.
   */
  @Test
  void prunedPrefixEqualsMaskedAttention() {
    boolean[][][] kept = new boolean[CONFIG.layers()][CONFIG.kvHeads()][PREFIX];
    List<int[][]> positions = new ArrayList<>();
    for (int layer = 0; layer < CONFIG.layers(); layer++) {
      positions.add(randomSubsets(PREFIX, 20 + 30 * layer, layer)); // the last layer's heads keep different numbers
      positions.get(layer)[0] = Arrays.copyOf(positions.get(layer)[0], layer == 2 ? 11 : 20 + 30 * layer);
      for (int head = 0; head < CONFIG.kvHeads(); head++) {
        for (int position : positions.get(layer)[head]) {
          kept[layer][head][position] = true;
        }
      }
    }
    ScalarTwin twin = new ScalarTwin(weights, true,
        (layer, kvHead, query, key) -> query < PREFIX || key >= PREFIX || kept[layer][kvHead][key]);
    twin.run(prompt);
    float[][] expected = twin.run(suffix);
    try (Transformer model = new Transformer(weights, 2);
        KvState dense = model.newState(300);
        KvState pruned = model.newState(300)) {
      model.prefill(dense, prompt);
      pruned.appendPruned(PREFIX, layers(dense, positions));
      assertLogits(expected, model.verify(pruned, suffix), "by columns");
      pruned.truncate(PREFIX);
      float[][] steps = new float[suffix.length][];
      for (int i = 0; i < suffix.length; i++) {
        steps[i] = model.decode(pruned, suffix[i]);
      }
      assertLogits(expected, steps, "by rows");
    }
  }

  /** Goal: runs of any kind may follow each other. Method: with all positions kept they equal dense rows. */
  @Test
  void denseAndPrunedRunsMix() {
    try (Transformer model = new Transformer(weights, 2);
        KvState dense = model.newState(300);
        KvState mixed = model.newState(300)) {
      model.prefill(dense, prompt);
      mixed.appendPruned(30, everything(dense, 0, 30));
      Models.restore(mixed, Models.export(dense, 70), 70);
      mixed.appendPruned(100, everything(dense, 70, 100));
      mixed.appendPruned(110, everything(dense, 100, 110));
      int[] rest = Arrays.copyOfRange(prompt, 110, PREFIX);
      model.prefill(mixed, rest);
      assertArrayEquals(model.prefill(dense, suffix), model.prefill(mixed, suffix), 0f);

      refused("inside the pruned run [70, 100)", () -> mixed.truncate(99));
      mixed.truncate(70);
      dense.truncate(70);
      assertArrayEquals(model.prefill(dense, suffix), model.prefill(mixed, suffix), 0f);
    }
  }

  @Test
  void refusesBadRuns() {
    try (KvState state = new KvState(CONFIG, 100)) {
      List<PrunedLayer> good = everything(state, 0, 10);
      state.restored(10);
      refused("restored to 9 tokens, must be 10 to 100", () -> state.restored(9));
      refused("restored to 101", () -> state.restored(101));
      refused("cannot truncate to -1", () -> state.truncate(-1));
      refused("cannot truncate to 11, must be 0 to 10", () -> state.truncate(11));
      refused("position 0 is not in [10, 20)", () -> state.appendPruned(20, good));
      refused("pruned run ends at 10, must be 11 to 100", () -> state.appendPruned(10, good));
      refused("pruned run ends at 101", () -> state.appendPruned(101, good));
      state.truncate(0);
      refused("2 layers given, the model has 3", () -> state.appendPruned(10, good.subList(0, 2)));
      PrunedLayer layer = good.getFirst();
      refusedLayer(state, "positions for 1 heads, the model has 2", new int[1][10], layer.keys());
      refusedLayer(state, "keys of 400 and values of 400 bytes, 19 positions kept of all heads take 380",
          new int[][] {layer.positions()[0], new int[] {0, 1, 2, 3, 4, 5, 6, 7, 8}}, layer.keys());
      refusedLayer(state, "position 4 is not in [5, 10)",
          new int[][] {layer.positions()[0], {0, 1, 2, 3, 4, 4, 6, 7, 8, 9}}, layer.keys());
      refusedLayer(state, "keys of 399 and values of 400 bytes, 20 positions kept of all heads take 400",
          layer.positions(), layer.keys().asSlice(1));
      assertEquals(0, state.length());
    }
  }

  private static void refusedLayer(KvState state, String message, int[][] positions, MemorySegment keys) {
    PrunedLayer good = everything(state, 0, 10).getFirst();
    PrunedLayer bad = new PrunedLayer(positions, keys, good.values());
    refused(message, () -> state.appendPruned(10, List.of(good, good, bad)));
  }

  private static void assertLogits(float[][] expected, float[][] actual, String how) {
    for (int i = 0; i < expected.length; i++) {
      assertArrayEquals(expected[i], actual[i], 0f, how + ", token " + i);
    }
  }

  private static List<PrunedLayer> layers(KvState dense, List<int[][]> positions) {
    return IntStream.range(0, positions.size())
        .mapToObj(layer -> Models.prune(dense, layer, positions.get(layer))).toList();
  }

  private static List<PrunedLayer> everything(KvState dense, int from, int to) {
    int[] all = IntStream.range(from, to).toArray();
    int[][] positions = new int[CONFIG.kvHeads()][];
    Arrays.fill(positions, all);
    return layers(dense, Collections.nCopies(CONFIG.layers(), positions));
  }

  private static int[][] randomSubsets(int positions, int kept, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int[][] subsets = new int[CONFIG.kvHeads()][];
    Arrays.setAll(subsets, head -> random.ints(0, positions).distinct().limit(kept).sorted().toArray());
    return subsets;
  }
}
