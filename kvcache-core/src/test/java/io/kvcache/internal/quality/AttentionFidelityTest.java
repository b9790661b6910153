package io.kvcache.internal.quality;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.DType;
import io.kvcache.KvHalf;
import io.kvcache.KvLayout;
import io.kvcache.LayerSpec;
import io.kvcache.internal.quality.AttentionFidelity.Rows;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.NavigableSet;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeSet;
import java.util.function.IntPredicate;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class AttentionFidelityTest {
  private static final int CHUNKS = 6;
  private static final KvLayout LAYOUT = KvLayout.uniform(3, 2, 32, DType.F32).withChunkTokens(64);
  private static final long SEED = Long.getLong("test.seed", 5);
  private static final String AT = "seed=" + SEED;

  private final float[][][] kv = random(LAYOUT, SEED);
  private final AttentionFidelity fidelity = new AttentionFidelity(LAYOUT, rows(kv, token -> true, x -> x));

  @Test
  void exactIsOneHoweverOftenItIsAsked() {
    Rows exact = rows(kv, token -> true, x -> x);
    assertEquals(1.0, fidelity.estimate(exact), AT);
    double half = fidelity.estimate(rows(kv, token -> token % 2 == 0, x -> x));
    assertEquals(half,
        new AttentionFidelity(LAYOUT, exact).estimate(rows(kv, token -> token % 2 == 0, x -> x)), AT);
    assertTrue(half > 0 && half < 1, AT + " " + half);
  }

  @Test
  void fallsWithTheShareThatIsDropped() {
    double last = 1;
    for (int kept = 9; kept > 0; kept--) {
      int of = kept;
      double estimate = fidelity.estimate(rows(kv, token -> token * 7 % 10 < of, x -> x));
      assertTrue(estimate < last, AT + " " + kept + " of 10: " + estimate + " after " + last);
      last = estimate;
    }
    assertTrue(last < 0.2, AT + " " + last);
    assertEquals(0.0, fidelity.estimate(rows(kv, token -> false, x -> x)), AT);
  }

  @Test
  void fewerBitsAreWorse() {
    double eight = fidelity.estimate(rows(kv, token -> true, row -> rounded(row, 255)));
    double four = fidelity.estimate(rows(kv, token -> true, row -> rounded(row, 15)));
    double two = fidelity.estimate(rows(kv, token -> true, row -> rounded(row, 3)));
    assertTrue(1 > eight && eight > 0.99 && eight > four && four > two && two > 0,
        AT + " " + eight + ", " + four + ", " + two);
  }

  /** Goal: what sticks out matters. Method: one key in eight is three times as long; drop an eighth of either sort. */
  @Test
  void droppingWhatSticksOutIsWorse() {
    float[][][] uneven = random(LAYOUT, SEED + 1);
    for (float[][] layer : uneven) {
      int width = layer[0].length / CHUNKS / 64;
      for (int i = 0; i < layer[0].length; i++) {
        layer[0][i] *= i / width % 8 == 0 ? 3 : 1;
      }
    }
    AttentionFidelity probes = new AttentionFidelity(LAYOUT, rows(uneven, token -> true, x -> x));
    double withoutLong = probes.estimate(rows(uneven, token -> token % 8 != 0, x -> x));
    double withoutShort = probes.estimate(rows(uneven, token -> token % 8 != 1, x -> x));
    assertTrue(withoutLong < withoutShort - 0.2, AT + " " + withoutLong + ", " + withoutShort);
  }

  @Test
  void badNumbersCountAsLost() {
    assertEquals(0.0, fidelity.estimate(rows(kv, token -> true, AttentionFidelityTest::nan)), AT);
    float[][][] constant = random(LAYOUT, SEED);
    for (float[][] layer : constant) {
      Arrays.fill(layer[0], 1);
      Arrays.fill(layer[1], 2);
    }
    Rows exact = rows(constant, token -> true, x -> x);
    assertEquals(1.0, new AttentionFidelity(LAYOUT, exact).estimate(exact));
  }

  @Test
  void looksAtFewHeadsOfManyAndNeverAtTheFirstLayer() {
    assertEquals(Set.of(1, 2), layersRead(LAYOUT));
    assertEquals(Set.of(0), layersRead(KvLayout.uniform(1, 1, 8, DType.F32).withChunkTokens(64)));
    NavigableSet<Integer> layers = layersRead(KvLayout.uniform(40, 1, 8, DType.F32).withChunkTokens(64));
    assertEquals(16, layers.size());
    assertTrue(layers.first() > 0 && layers.last() > 36, layers.toString());
  }

  /** The layers whose rows are asked for, which is what a measurement costs. */
  private static NavigableSet<Integer> layersRead(KvLayout layout) {
    NavigableSet<Integer> layers = new TreeSet<>();
    Rows exact = rows(random(layout, 1), token -> true, row -> row);
    Rows watched = (layer, half) -> {
      layers.add(layer);
      return exact.chunks(layer, half);
    };
    assertEquals(1.0, new AttentionFidelity(layout, watched).estimate(watched));
    return layers;
  }

  /** Keys that carry everything are their own values. */
  @Test
  void layersWithoutValues() {
    KvLayout latent =
        new KvLayout(List.of(LayerSpec.opaque(4), new LayerSpec(1, 16, 0, DType.F32, 0)), 64);
    float[][][] keys = {{}, {gaussian(CHUNKS * 64 * 16, new SplittableRandom(SEED)), {}}};
    AttentionFidelity probes = new AttentionFidelity(latent, rows(keys, token -> true, x -> x));
    assertEquals(1.0, probes.estimate(rows(keys, token -> true, x -> x)));
    assertTrue(probes.estimate(rows(keys, token -> token % 2 == 0, x -> x)) < 1);
    assertTrue(AttentionFidelity.supports(latent));
    KvLayout opaque = new KvLayout(List.of(LayerSpec.opaque(4), LayerSpec.opaque(8)), 64);
    assertFalse(AttentionFidelity.supports(opaque));
    assertThrows(IllegalArgumentException.class,
        () -> new AttentionFidelity(opaque, rows(keys, token -> true, x -> x)));
  }

  private static float[][][] random(KvLayout layout, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    float[][][] kv = new float[layout.layers().size()][2][];
    for (int layer = 0; layer < kv.length; layer++) {
      LayerSpec spec = layout.layer(layer);
      kv[layer][0] = gaussian(CHUNKS * 64 * spec.kvHeads() * spec.keyDim(), random);
      kv[layer][1] = gaussian(CHUNKS * 64 * spec.kvHeads() * spec.valueDim(), random);
    }
    return kv;
  }

  private static float[] gaussian(int count, SplittableRandom random) {
    float[] x = new float[count];
    for (int i = 0; i < count; i++) {
      x[i] = (float) random.nextGaussian();
    }
    return x;
  }

  private static float[] nan(float[] row) {
    float[] copy = new float[row.length];
    Arrays.fill(copy, Float.NaN);
    return copy;
  }

  private static float[] rounded(float[] row, int levels) {
    float[] copy = new float[row.length];
    for (int i = 0; i < row.length; i++) {
      copy[i] = Math.round((row[i] + 4) * levels / 8) * 8f / levels - 4;
    }
    return copy;
  }

  /** The rows of the tokens kept, changed, chunk by chunk. */
  private static Rows rows(float[][][] kv, IntPredicate kept, UnaryOperator<float[]> change) {
    return (layer, half) -> {
      float[] all = kv[layer][half == KvHalf.KEYS ? 0 : 1];
      int width = all.length / (CHUNKS * 64);
      MemorySegment[] chunks = new MemorySegment[CHUNKS];
      for (int chunk = 0; chunk < CHUNKS; chunk++) {
        int first = chunk * 64;
        int[] tokens = IntStream.range(first, first + 64).filter(kept).toArray();
        float[] rows = new float[tokens.length * width];
        for (int row = 0; row < tokens.length; row++) {
          float[] changed =
              change.apply(Arrays.copyOfRange(all, tokens[row] * width, (tokens[row] + 1) * width));
          System.arraycopy(changed, 0, rows, row * width, width);
        }
        chunks[chunk] = MemorySegment.ofArray(rows);
      }
      return List.of(chunks);
    };
  }
}
