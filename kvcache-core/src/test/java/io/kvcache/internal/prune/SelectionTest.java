package io.kvcache.internal.prune;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.DType;
import io.kvcache.DropMethod;
import io.kvcache.LayerSpec;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.RepetitionInfo;
import org.junit.jupiter.api.Test;

class SelectionTest {
  private static final float LOW = Float.NEGATIVE_INFINITY;

  /** Head 0 has its best four in the chunks as 3 and 1, head 1 as 1 and 3: both keep two and two. */
  @Test
  void headsAgreeOnTheCountsOfChunks() {
    float[][] scores = {{9, 8, 7, 0, 6, 1, 2, 3}, {0, 1, 2, 9, 8, 7, 6, 5}};
    long[][][] kept = Selection.select(scores, 4, 50);
    assertArrayEquals(new long[] {0b0011}, kept[0][0]);
    assertArrayEquals(new long[] {0b1001}, kept[1][0]);
    assertArrayEquals(new long[] {0b1100}, kept[0][1]);
    assertArrayEquals(new long[] {0b0011}, kept[1][1]);
  }

  /** One of three heads has its best token in each of three chunks: a third each, and the first chunk gets it. */
  @Test
  void aTieOfRemaindersGoesToTheLowerChunk() {
    float[][] scores = {{9, 0, 1, 2, 3, 4}, {0, 1, 9, 2, 3, 4}, {0, 1, 2, 3, 9, 4}};
    long[][][] kept = Selection.select(scores, 2, 16);
    assertEquals(0b01, kept[0][0][0]);
    assertEquals(0b10, kept[0][1][0]);
    assertEquals(0, kept[1][0][0] | kept[1][1][0] | kept[2][2][0]);
  }

  @Test
  void ofEqualScoresTheLaterIsKept() {
    assertEquals(0b1100, Selection.select(new float[1][4], 4, 50)[0][0][0]);
    assertEquals(0b1100, Selection.select(new float[][] {{0f, 0f, -0f, -0f}}, 4, 50)[0][0][0]);
  }

  @Test
  void nanGoesFirstAndInfinityLast() {
    float[][] scores = {{Float.NaN, -1e30f, -Float.NaN, Float.POSITIVE_INFINITY}};
    assertEquals(0b1010, Selection.select(scores, 4, 50)[0][0][0]);
  }

  /** Goal: what a mask drops is dropped, whatever the share has room for. */
  @Test
  void whatAMaskDropsFillsNoBudget() {
    float high = Float.POSITIVE_INFINITY;
    float[][] scores =
        {{LOW, high, LOW, LOW, high, LOW, LOW, high}, {high, LOW, LOW, LOW, LOW, LOW, high, high}};
    for (int percent : new int[] {37, 38, 50, 75, 100}) {
      long[][][] kept = Selection.select(scores, 4, percent);
      boolean room = percent >= 38; // else it is for two tokens of the three, and these are the later ones
      assertEquals(room ? 0b0010 : 0, kept[0][0][0], "percent " + percent);
      assertEquals(room ? 0b0001 : 0, kept[0][1][0]);
      assertEquals(0b1001, kept[1][0][0]);
      assertEquals(0b1100, kept[1][1][0]);
    }
    assertEquals(0, Selection.select(new float[][] {{LOW, LOW}, {LOW, LOW}}, 2, 50)[0][1][0]);
  }

  /** Heads that want different numbers of a chunk store their mean, which for one of them is more than it wants. */
  @Test
  void headsThatWantDifferentNumbersMeetInTheMiddle() {
    float[][] scores = {{4, 3, 2, 1, LOW, LOW, LOW, LOW}, {LOW, LOW, LOW, LOW, 1, 2, LOW, LOW}};
    long[][][] kept = Selection.select(scores, 4, 100);
    assertEquals(0b0011, kept[0][0][0]);
    assertEquals(0b1100, kept[0][1][0]);
    assertEquals(0b1000, kept[1][0][0]);
    assertEquals(0b0010, kept[1][1][0]);
  }

  @Test
  void sinksAreKeptHoweverFewAre() {
    int tokens = 16 * 6;
    float[][] scores = Scorer.score(DropMethod.STREAMING_LLM, LayerSpec.of(2, 2, DType.F32), 16, 0,
        Collections.nCopies(6, MemorySegment.NULL));
    assertEquals(4, Selection.budget(tokens, 5));
    long[][][] four = Selection.select(scores, 16, 5);
    assertEquals(0b1111, four[0][0][0]);
    assertEquals(0, four[5][1][0]);
    long[][][] nine = Selection.select(scores, 16, 10);
    assertEquals(0b1111, nine[0][1][0]);
    assertEquals(0b11111 << 11, nine[5][1][0]);
  }

  @Test
  void percentExtremes() {
    float[][] scores = new float[2][128];
    assertEquals(1, Selection.budget(99, 1));
    long[][][] one = Selection.select(scores, 64, 1);
    assertEquals(0, one[0][0][0]);
    assertEquals(1L << 63, one[1][1][0]);
    assertEquals(-1, Selection.select(scores, 64, 100)[0][1][0]);
    assertThrows(IllegalArgumentException.class, () -> Selection.select(scores, 64, 0));
    assertThrows(IllegalArgumentException.class, () -> Selection.select(scores, 64, 101));
    assertThrows(IllegalArgumentException.class, () -> Selection.select(scores, 48, 50));
    assertThrows(IllegalArgumentException.class, () -> Selection.select(new float[1][0], 48, 50));
  }

  /** Goal: the rule as it is written. Method: sorted lists of boxed tokens, on scores with many ties. */
  @RepeatedTest(30)
  void equalsItsNaiveTwin(RepetitionInfo run) {
    long seed = Long.getLong("test.seed", run.getCurrentRepetition());
    SplittableRandom random = new SplittableRandom(seed);
    int chunkTokens = 16 << random.nextInt(4);
    int chunks = random.nextInt(1, 9);
    int heads = random.nextInt(1, 6);
    int percent = random.nextInt(1, 101);
    int masked = random.nextInt(20);
    float[][] scores = new float[heads][chunks * chunkTokens];
    for (float[] row : scores) {
      for (int token = 0; token < row.length; token++) {
        int draw = random.nextInt(-9, 20);
        row[token] = draw == 19 ? Float.NaN : draw >= 18 - masked ? LOW : draw;
      }
    }
    long[][][] kept = Selection.select(scores, chunkTokens, percent);
    int budget = Math.max(1, scores[0].length * percent / 100);
    int[] quotas = quotas(scores, chunkTokens, budget);
    String at = "seed=" + seed;
    for (int chunk = 0; chunk < chunks; chunk++) {
      int first = chunk * chunkTokens;
      for (int head = 0; head < heads; head++) {
        long[] expected = new long[(chunkTokens + 63) / 64];
        best(scores[head], first, first + chunkTokens).stream().limit(quotas[chunk])
            .forEach(token -> expected[(token - first) / 64] |= 1L << (token - first) % 64);
        assertArrayEquals(expected, kept[chunk][head], at + " chunk " + chunk + " head " + head);
      }
    }
  }

  private static int[] quotas(float[][] scores, int chunkTokens, int budget) {
    double[] mean = new double[scores[0].length / chunkTokens];
    for (float[] row : scores) {
      best(row, 0, row.length).stream().filter(token -> row[token] != LOW).limit(budget)
          .forEach(token -> mean[token / chunkTokens] += 1.0 / scores.length);
    }
    int all = (int) Math.ceil(Arrays.stream(mean).sum() - 1e-9);
    int[] quotas = IntStream.range(0, mean.length).map(chunk -> (int) (mean[chunk] + 1e-9)).toArray();
    IntStream.range(0, mean.length).boxed()
        .sorted(Comparator.<Integer>comparingLong(chunk -> -Math.round(1e6 * (mean[chunk] - quotas[chunk]))))
        .limit(all - IntStream.of(quotas).sum()).forEach(chunk -> quotas[chunk]++);
    for (int chunk = 0; chunk < quotas.length; chunk++) {
      int from = chunk * chunkTokens;
      int most = Arrays.stream(scores).mapToInt(row -> (int) IntStream.range(from, from + chunkTokens)
          .filter(token -> row[token] != LOW).count()).max().orElseThrow();
      assertTrue(quotas[chunk] <= most, "no head wants as many as " + quotas[chunk]);
    }
    return quotas;
  }

  private static List<Integer> best(float[] scores, int from, int to) {
    return IntStream.range(from, to).boxed().sorted(Comparator
        .<Integer, Float>comparing(token -> Float.isNaN(scores[token]) ? -Float.MAX_VALUE : scores[token])
        .thenComparing(token -> token).reversed()).toList();
  }
}
