package io.kvcache;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;

/** What the makers make of attention; worked by hand. */
class TokenScoresTest {
  private static final float ALWAYS = Float.POSITIVE_INFINITY;

  private static float[][][] attention(float... row) {
    return new float[][][] {{row}};
  }

  /** Five neighbours, those outside counting as nothing; the window is kept, and is no neighbour. */
  @Test
  void snapKvAveragesOverNeighbours() {
    float[] scores = TokenScores.none().snapKv(attention(5, 10, 0, 0, 5, 90, 90), 2)
        .of(DropMethod.SNAPKV, 0, 0);
    assertArrayEquals(new float[] {3, 3, 4, 3, 1, ALWAYS, ALWAYS}, scores);
    assertThrows(IllegalArgumentException.class, () -> TokenScores.none().snapKv(attention(1, 2), 3));
  }

  @Test
  void h2oCountsThoseThatCouldAttend() {
    float[] scores = TokenScores.none().h2o(attention(6, 1, 1)).of(DropMethod.H2O, 0, 0);
    assertArrayEquals(new float[] {2, 0.5f, 1}, scores);
  }

  @Test
  void kvZipTakesTheGreatestAndKeepsTheFirstFour() {
    float[][][] attention = attention(0.1f, 0.2f, 0.3f, 0.4f, 0.5f, 0.25f);
    float[] scores = TokenScores.none().kvZip(attention).of(DropMethod.KVZIP, 0, 0);
    assertArrayEquals(new float[] {ALWAYS, ALWAYS, ALWAYS, ALWAYS, 0.5f, 0.25f}, scores);
    assertArrayEquals(new float[] {0.1f, 0.2f, 0.3f, 0.4f, 0.5f, 0.25f}, attention[0][0],
        "it is the caller's");
    assertArrayEquals(new float[] {ALWAYS, ALWAYS},
        TokenScores.none().kvZip(attention(0, 1)).of(DropMethod.KVZIP, 0, 0));
    assertThrows(IllegalArgumentException.class, () -> TokenScores.none().kvZip(attention(Float.NaN)));
  }
}
