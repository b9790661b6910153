package io.kvcache.bench.quality;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.kvcache.DType;
import io.kvcache.DropMethod;
import io.kvcache.KvLayout;
import io.kvcache.bench.Invocation;
import io.kvcache.bench.quality.FormRun.Choice;
import io.kvcache.bench.quality.FormRun.Outcome;
import io.kvcache.bench.serving.Weights;
import io.kvcache.bench.task.DocumentGenerator;
import io.kvcache.bench.task.DocumentKind;
import io.kvcache.bench.task.DocumentSize;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What each form keeps, and that the comparison compares. */
class DroppingFormTest {
  private static final KvLayout LAYOUT = KvLayout.uniform(3, 2, 4, DType.BF16).withChunkTokens(16);
  private static final int TOKENS = 64;
  private static final int BUDGET = 19; // 30 %

  /** Scores that favour later layers, and in them the second head. */
  private static float[][][] scores() {
    SplittableRandom random = new SplittableRandom(5);
    float[][][] scores = new float[3][2][TOKENS];
    for (int layer = 0; layer < 3; layer++) {
      for (int head = 0; head < 2; head++) {
        for (int token = 0; token < TOKENS; token++) {
          scores[layer][head][token] = (float) random.nextDouble(1 + layer + 3 * head);
        }
      }
    }
    return scores;
  }

  private static int[][][] kept(DroppingForm form) {
    return form.positions(LAYOUT, scores(), DropMethod.KVZIP, 30);
  }

  @ParameterizedTest
  @EnumSource
  void keepsAsManyEntriesAsAllOthers(DroppingForm form) {
    int entries = 0;
    for (int[][] layer : kept(form)) {
      for (int[] head : layer) {
        entries += head.length;
        assertArrayEquals(Arrays.stream(head).distinct().sorted().toArray(), head);
        assertTrue(Arrays.stream(head).allMatch(token -> token >= 0 && token < TOKENS));
      }
    }
    assertEquals(6 * BUDGET, entries);
  }

  @Test
  void theRaggedFormKeepsTheBestOfAll() {
    int[][][] kept = kept(DroppingForm.RAGGED);
    float least = Float.POSITIVE_INFINITY;
    float most = Float.NEGATIVE_INFINITY;
    float[][][] scores = scores();
    for (int layer = 0; layer < 3; layer++) {
      for (int head = 0; head < 2; head++) {
        for (int token = 0; token < TOKENS; token++) {
          float score = scores[layer][head][token];
          if (Arrays.binarySearch(kept[layer][head], token) >= 0) {
            least = Math.min(least, score);
          } else {
            most = Math.max(most, score);
          }
        }
      }
    }
    assertTrue(least >= most, least + " is kept, " + most + " is not");
    assertTrue(kept[2][1].length > kept[0][0].length);
  }

  @Test
  void budgetsAreSharedAsTheFormSays() {
    for (int[][] layer : kept(DroppingForm.RAGGED_LAYER)) {
      assertEquals(2 * BUDGET, layer[0].length + layer[1].length);
      assertTrue(layer[0].length >= BUDGET / 5 && layer[1].length > layer[0].length);
    }
    int[][][] byLayer = kept(DroppingForm.LAYERS);
    for (int[][] layer : byLayer) {
      assertEquals(layer[0].length, layer[1].length);
    }
    assertTrue(byLayer[2][0].length > byLayer[0][0].length);
    for (int[][] layer : kept(DroppingForm.FREE)) {
      assertEquals(BUDGET, layer[0].length);
      assertEquals(BUDGET, layer[1].length);
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"UNIFORM", "UNIFORM_BEST", "UNIFORM_SHARE"})
  void uniformFormsKeepTheSameEverywhere(DroppingForm form) {
    int[][][] kept = kept(form);
    for (int[][] layer : kept) {
      for (int[] head : layer) {
        assertArrayEquals(kept[0][0], head);
      }
    }
  }

  /** A half and a half against a quarter and three quarters: ln 2 − ½ ln 3 + … = ½ ln(4/3) nats. */
  @Test
  void divergenceIsThatOfDistributions() {
    float[] even = {7, 7};
    float[] uneven = {0, (float) Math.log(3)};
    assertEquals(0.5 * Math.log(4 / 3.0), FormRun.divergence(even, uneven), 1e-6);
    assertEquals(0, FormRun.divergence(uneven, uneven.clone()), 1e-12);
  }

  /** Goal: what is measured is the loss. Method: one document; little kept by a weaker method, much by a better one. */
  @Test
  void lossesAreThoseOfWhatIsDropped() throws IOException {
    try (FormRun run = new FormRun(Weights.of(null))) {
      Map<Choice, Outcome> outcomes = run.run(new DocumentGenerator(new DocumentSize(200, 260))
          .generate(DocumentKind.NUMBERS, DocumentGenerator.FIRST_HELD_OUT_SEED), 3);
      assertEquals(FormRun.METHODS.size() * FormRun.PERCENTS.size() * DroppingForm.values().length,
          outcomes.size());
      for (Outcome outcome : outcomes.values()) {
        assertEquals(3, outcome.questions());
        assertTrue(outcome.kept() <= 3 && outcome.divergence() >= -1e-6, outcome::toString);
      }
      Outcome much = outcomes.get(new Choice(DropMethod.KVZIP, 70, DroppingForm.STORED));
      Outcome little = outcomes.get(new Choice(DropMethod.SNAPKV, 30, DroppingForm.STORED));
      assertEquals(3, much.kept());
      assertTrue(much.divergence() < 0.1, much::toString);
      assertTrue(little.kept() < 3 && little.divergence() > 10 * much.divergence(), little::toString);
    }
  }

  @Test
  void wrongNumbersAreRefused() {
    Invocation bench = new Invocation();
    assertEquals(2, bench.run("dropping-forms", "--questions", "0"));
    assertTrue(bench.err().startsWith("kvcache-bench dropping-forms: --questions is 0, must be 1 to"),
        bench::err);
  }

  @Test
  @Tag("long")
  void reportsEveryForm(@TempDir Path directory) throws IOException {
    Path json = directory.resolve("forms.json");
    Invocation bench = new Invocation();
    assertEquals(0,
        bench.run("dropping-forms", "--documents", "1", "--questions", "1", "--json", json.toString()),
        bench::err);
    for (DroppingForm form : DroppingForm.values()) {
      assertTrue(bench.out().contains(form.label()), bench::out);
    }
    JsonNode result = new ObjectMapper().readTree(json.toFile());
    assertEquals(IntStream.of(5, 3, 8).reduce(1, (x, y) -> x * y), result.get("cells").size());
  }
}
