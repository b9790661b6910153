package io.kvcache.bench.quality;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;

class RankCorrelationTest {
  @Test
  void onlyTheOrderCounts() {
    double[] x = {3, -1, 10, 7};
    assertEquals(1, RankCorrelation.spearman(x, new double[] {0.3, 0.1, 0.9, 0.31}), 1e-12);
    assertEquals(-1, RankCorrelation.spearman(x, new double[] {-3, 1, -1e9, -7}), 1e-12);
  }

  /** Ranks 0, 1½, 1½, 3 and 0, 1, 2, 3: 4½ / √(4½ · 5). */
  @Test
  void equalValuesShareTheirRank() {
    assertEquals(4.5 / Math.sqrt(4.5 * 5),
        RankCorrelation.spearman(new double[] {1, 2, 2, 3}, new double[] {1, 2, 3, 4}), 1e-12);
    assertEquals(Double.NaN, RankCorrelation.spearman(new double[] {1, 1}, new double[] {1, 2}));
  }

  @Test
  void meansLeaveOutWhatSaysNothing() {
    RankCorrelation.Mean mean = RankCorrelation.mean(List.of(0.5, Double.NaN, 0.9, 0.7));
    assertEquals(0.7, mean.mean(), 1e-12);
    assertEquals(3, mean.contexts());
    assertTrue(0.5 <= mean.low() && mean.low() < 0.7 && 0.7 < mean.high() && mean.high() <= 0.9,
        mean::toString);
    assertEquals(0, RankCorrelation.mean(List.of(Double.NaN)).contexts());
  }
}
