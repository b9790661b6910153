package io.kvcache.internal.prune;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.DType;
import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.KvLayout;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.RepetitionInfo;
import org.junit.jupiter.api.Test;

class ConsensusTest {
  private static final float HIGH = Float.POSITIVE_INFINITY;
  private static final float LOW = Float.NEGATIVE_INFINITY;
  private static final KvLayout LAYOUT = KvLayout.uniform(2, 2, 4, DType.F32).withChunkTokens(16);

  private static boolean ahead(float[] scores, int one, int other) {
    return scores[one] > scores[other];
  }

  /** Ranks from the front, by head: 0 2 1 3, then 0 1 2 3 in another scale. */
  @Test
  void ranksAreAveragedWhateverTheScale() {
    float[] consensus = Consensus.of(new float[][][] {{{9, 7, 8, 0}}, {{-1e-9f, -2e-9f, -3e-9f, -4e-9f}}});
    assertArrayEquals(new float[] {0, -1.5f, -1.5f, -3}, consensus);
  }

  @Test
  void whatAllWantIsFirstAndWhatNoneWantsIsNotWanted() {
    float[][][] scores = {{{HIGH, 1, 5, LOW, LOW, HIGH}}, {{HIGH, 9, HIGH, LOW, 7, 8}}};
    float[] consensus = Consensus.of(scores);
    assertEquals(HIGH, consensus[0]);
    assertEquals(LOW, consensus[3]);
    for (int token : new int[] {1, 2, 4, 5}) {
      assertTrue(Float.isFinite(consensus[token]), "token " + token);
    }
    assertFalse(Float.isInfinite(Consensus.of(new float[][][] {{{Float.NaN, 1}}, {{LOW, LOW}}})[0]));
  }

  /** Goal: the rule as it is written. Method: positions in sorted lists of boxed tokens, added up. */
  @RepeatedTest(20)
  void equalsItsNaiveTwin(RepetitionInfo run) {
    long seed = Long.getLong("test.seed", run.getCurrentRepetition());
    SplittableRandom random = new SplittableRandom(seed);
    int tokens = 1 + random.nextInt(200);
    float[][][] scores = new float[1 + random.nextInt(4)][][];
    Arrays.setAll(scores, layer -> new float[1 + random.nextInt(3)][tokens]);
    int[] ranks = new int[tokens];
    int heads = 0;
    for (float[][] layer : scores) {
      for (float[] head : layer) {
        heads++;
        for (int token = 0; token < tokens; token++) {
          head[token] = random.nextInt(20) == 0 ? Float.NaN : random.nextInt(40);
        }
        List<Integer> best = IntStream.range(0, tokens).boxed().sorted(Comparator
            .<Integer, Float>comparing(token -> Float.isNaN(head[token]) ? LOW : head[token])
            .thenComparing(token -> token).reversed()).toList();
        for (int token = 0; token < tokens; token++) {
          ranks[token] += best.indexOf(token);
        }
      }
    }
    float[] consensus = Consensus.of(scores);
    for (int token = 0; token < tokens; token++) {
      assertEquals((float) (0 - (double) ranks[token] / heads), consensus[token],
          "seed=" + seed + " token " + token);
    }
  }

  /** Goal: a mask that is the same for all layers and heads decides alone, as it does for each head. */
  @Test
  void aMaskStaysAMask() {
    float[] mask = new float[48];
    Arrays.fill(mask, LOW);
    int[] wanted = {0, 3, 16, 17, 40};
    for (int token : wanted) {
      mask[token] = HIGH;
    }
    float[][][] scores = {{mask, mask}, {mask, mask}};
    Kept[] kept = Selection.kept(LAYOUT, scores, Encoding.RAW.keepingUniformly(DropMethod.KVZIP, 60));
    Kept[] each = Selection.kept(LAYOUT, scores, Encoding.RAW.keeping(DropMethod.KVZIP, 60));
    for (int layer = 0; layer < 2; layer++) {
      int of = layer;
      assertArrayEquals(wanted, IntStream.range(0, 3).flatMap(chunk -> Arrays
          .stream(kept[chunk].positions(of, 1)).map(offset -> 16 * chunk + offset)).toArray());
    }
    for (int chunk = 0; chunk < 3; chunk++) {
      assertTrue(kept[chunk].uniform() && !each[chunk].uniform());
      assertArrayEquals(each[chunk].positions(0, 0), kept[chunk].positions(0, 0));
    }
  }

  @Test
  void theShareIsThatOfAllTokens() {
    SplittableRandom random = new SplittableRandom(3);
    float[][][] scores = new float[2][2][64];
    for (float[][] layer : scores) {
      for (float[] head : layer) {
        for (int token = 0; token < head.length; token++) {
          head[token] = (float) random.nextDouble();
        }
      }
    }
    Kept[] kept = Selection.kept(LAYOUT, scores, Encoding.RAW.keepingUniformly(DropMethod.H2O, 30));
    assertEquals(19, Arrays.stream(kept).mapToInt(chunk -> chunk.count(1)).sum());
    float[] consensus = Consensus.of(scores);
    int[] in = IntStream.range(0, 64).filter(t -> contains(kept[t / 16].positions(0, 0), t % 16)).toArray();
    int[] out = IntStream.range(0, 64).filter(t -> !contains(kept[t / 16].positions(0, 0), t % 16)).toArray();
    for (int one : in) {
      for (int other : out) {
        assertFalse(ahead(consensus, other, one), other + " is ahead of " + one);
      }
    }
  }

  private static boolean contains(int[] offsets, int offset) {
    return Arrays.stream(offsets).anyMatch(each -> each == offset);
  }
}
