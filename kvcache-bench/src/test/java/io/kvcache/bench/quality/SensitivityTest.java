package io.kvcache.bench.quality;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.KvHalf;
import io.kvcache.KvLayout;
import io.kvcache.TokenScores;
import io.kvcache.bench.Invocation;
import io.kvcache.bench.model.KvState;
import io.kvcache.bench.model.ModelWeights;
import io.kvcache.bench.model.Transformer;
import io.kvcache.bench.quality.ContextOutcome.Outcome;
import io.kvcache.bench.serving.CachedModel;
import io.kvcache.bench.serving.Weights;
import io.kvcache.bench.task.DocumentGenerator;
import io.kvcache.bench.task.DocumentKind;
import io.kvcache.bench.task.DocumentSize;
import io.kvcache.bench.task.RecallDocument;
import io.kvcache.bench.task.RecallQuestion;
import io.kvcache.bench.task.Vocabulary;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The measurement of quality, on one short document and the shipped model. */
class SensitivityTest {
  private static final RecallDocument DOCUMENT = new DocumentGenerator(new DocumentSize(200, 260))
      .generate(DocumentKind.NUMBERS, DocumentGenerator.FIRST_HELD_OUT_SEED);

  private static ModelWeights weights;
  private static KvLayout layout;

  @BeforeAll
  static void open() throws IOException {
    weights = Weights.of(null);
    layout = CachedModel.layoutOf(weights.config());
  }

  @Test
  void qualityFallsWithWhatIsDropped() {
    try (SensitivityRun run = new SensitivityRun(weights)) {
      ContextOutcome outcome = run.run(DOCUMENT, 3, 4);
      assertEquals(Set.copyOf(SensitivityRun.encodings()), outcome.byEncoding().keySet());
      assertEquals(SensitivityRun.encodings().size(), outcome.byEncoding().size());
      Outcome raw = outcome.byEncoding().get(Encoding.RAW);
      assertEquals(4, raw.questions());
      assertEquals(1, raw.quality());
      assertEquals(1, raw.estimate());
      Outcome little = outcome.byEncoding().get(Encoding.RAW.keeping(DropMethod.STREAMING_LLM, 10));
      assertTrue(little.quality() < 1, little::toString);
      assertTrue(little.estimate() < 0.5, little::toString);
      assertTrue(little.correct() < raw.correct(), little::toString);
      for (Outcome each : outcome.byEncoding().values()) {
        assertTrue(each.quality() >= 0 && each.quality() <= 1, each::toString);
        assertTrue(each.estimate() >= 0 && each.estimate() <= 1, each::toString);
      }
    }
  }

  @Test
  void engineScoresAreThoseOfEveryMethodThatNeedsThem() {
    try (Transformer transformer = new Transformer(weights, 2);
        KvState state = transformer.newState(DOCUMENT.tokens().length)) {
      TokenScores scores = EngineScores.prefill(transformer, state, DOCUMENT.tokens());
      assertEquals(EnumSet.range(DropMethod.SNAPKV, DropMethod.KVZIP),
          scores.methods());
      int last = DOCUMENT.tokens().length - 1;
      assertEquals(Float.POSITIVE_INFINITY, scores.of(DropMethod.SNAPKV, 1, 1)[last - 63]);
      assertTrue(scores.of(DropMethod.SNAPKV, 1, 1)[last - 64] < 64);
      assertEquals(Float.POSITIVE_INFINITY, scores.of(DropMethod.EXPECTED_ATTENTION, 3, 0)[3]);
      assertEquals(last + 1, scores.of(DropMethod.H2O, 0, 0).length);
    }
  }

  /** Goal: what the estimate and the engine see is one thing. Method: with nothing lost both are the exact rows. */
  @Test
  void rawRowsComeBackAsTheyWere() {
    try (Transformer transformer = new Transformer(weights, 2);
        KvState state = transformer.newState(DOCUMENT.tokens().length)) {
      LossyKv lossy = new LossyKv(layout, state, EngineScores.prefill(transformer, state, DOCUMENT.tokens()));
      LossyKv.Decoded raw = lossy.decoded(Encoding.RAW);
      for (int layer = 0; layer < layout.layers().size(); layer++) {
        for (int chunk = 0; chunk < lossy.tokens() / 64; chunk++) {
          assertEquals(-1, lossy.chunks(layer, KvHalf.VALUES).get(chunk)
              .mismatch(raw.chunks(layer, KvHalf.VALUES).get(chunk)));
        }
      }
      assertEquals(lossy.tokens() / 2,
          lossy.decoded(Encoding.RAW.keeping(DropMethod.KEYDIFF, 50)).layers().get(2).kept(1));
    }
  }

  /** Goal: verified guesses change nothing. Method: right, wrong, too long and no guesses against plain generation. */
  @Test
  void answersAreThoseOfPlainGeneration() {
    int[] document = DOCUMENT.tokens();
    try (Transformer transformer = new Transformer(weights, 2);
        KvState state = transformer.newState(document.length + 40)) {
      transformer.prefill(state, document);
      for (RecallQuestion question : DOCUMENT.questions()) {
        float[] logits = transformer.prefill(state, question.tokens());
        int[] plain = transformer.generate(state, logits, RecallQuestion.MAX_ANSWER_TOKENS, Vocabulary.END);
        state.truncate(document.length);
        int[] expected =
            plain.length == RecallQuestion.MAX_ANSWER_TOKENS ? plain : append(plain, Vocabulary.END);
        int[] wrongInTheMiddle = expected.clone();
        wrongInTheMiddle[expected.length / 2]++;
        int[] wrongAtFirst = expected.clone();
        wrongAtFirst[0]++;
        int[][] guesses =
            {expected, plain, {}, wrongInTheMiddle, wrongAtFirst, append(append(expected, 1), 2),
              {expected[0]}};
        for (int[] guess : guesses) {
          assertArrayEquals(expected, Answers.generate(transformer, state, question, guess),
              Arrays.toString(guess));
          assertEquals(document.length, state.length());
        }
      }
    }
  }

  @Test
  void agreementIsByPosition() {
    assertEquals(1, Answers.agreement(new int[] {1, 2, 3}, new int[] {1, 2, 3, 4}));
    assertEquals(2 / 3.0, Answers.agreement(new int[] {1, 2, 3}, new int[] {1, 9, 3}));
    assertEquals(1 / 3.0, Answers.agreement(new int[] {1, 2, 3}, new int[] {1}));
  }

  @Test
  void wrongNumbersAreRefused() {
    Invocation bench = new Invocation();
    assertEquals(2, bench.run("sensitivity", "--documents", "0"));
    assertTrue(bench.err().startsWith("kvcache-bench sensitivity: --documents is 0, must be 1 to"),
        bench::err);
  }

  /** Goal: a failure is told at once, not after hours. Method: what else runs would run for ever. */
  @Test
  void noDocumentIsBegunAfterOneFailed() {
    AtomicInteger begun = new AtomicInteger();
    RuntimeException failure = new IllegalStateException("broken");
    ExecutionException told = assertTimeoutPreemptively(Duration.ofMinutes(1),
        () -> assertThrows(ExecutionException.class, () -> SensitivityCommand.inParallel(10_000, number -> {
          begun.incrementAndGet();
          if (number == 0) {
            throw failure;
          }
          try {
            new CountDownLatch(1).await();
          } catch (InterruptedException e) {
            return null;
          }
          return number;
        })));
    assertSame(failure, told.getCause());
    assertTrue(begun.get() <= Runtime.getRuntime().availableProcessors() + 1, begun::toString);
  }

  @Test
  void resultsComeInOrder() throws Exception {
    assertEquals(List.of(0, 2, 4, 6), SensitivityCommand.inParallel(4, number -> 2 * number));
  }

  @Test
  @Tag("long")
  void reportsEveryKindAndEncoding(@TempDir Path directory) throws IOException {
    Path json = directory.resolve("sensitivity.json");
    Invocation bench = new Invocation();
    assertEquals(0,
        bench.run("sensitivity", "--documents", "1", "--questions", "2", "--json", json.toString()),
        bench::err);
    assertTrue(bench.out().contains("keydiff-50+int4"), bench::out);
    JsonNode result = new ObjectMapper().readTree(json.toFile());
    assertEquals(SensitivityRun.encodings().size() * DocumentKind.values().length,
        result.get("cells").size());
    assertTrue(result.get("spearman").get("all").get("mean").asDouble() > 0.5,
        result.get("spearman")::toString);
  }

  private static int[] append(int[] tokens, int token) {
    int[] longer = Arrays.copyOf(tokens, tokens.length + 1);
    longer[tokens.length] = token;
    return longer;
  }
}
