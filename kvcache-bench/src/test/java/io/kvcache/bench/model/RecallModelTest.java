package io.kvcache.bench.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.bench.task.DocumentGenerator;
import io.kvcache.bench.task.DocumentKind;
import io.kvcache.bench.task.DocumentSize;
import io.kvcache.bench.task.RecallDocument;
import io.kvcache.bench.task.RecallQuestion;
import io.kvcache.bench.task.Vocabulary;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Locale;
import java.util.Properties;
import java.util.zip.CRC32;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The shipped weights in this engine: what an independent implementation computes, and what the model can do. */
class RecallModelTest {
  /** The order of sums differs, and now and then moves a key or value to the neighbouring bf16. */
  private static final double LOGIT_TOLERANCE = 0.05;

  private static final int DOCUMENTS = 4;
  private static final int QUESTIONS = 10;
  private static final double LEAST_ACCURACY = 0.95;

  private static final DocumentGenerator GENERATOR = new DocumentGenerator(DocumentSize.STANDARD);

  private static Properties golden;
  private static Transformer transformer;

  @BeforeAll
  static void open() throws IOException {
    golden = new Properties();
    try (InputStream in = RecallModelTest.class.getResourceAsStream("recall-golden.properties")) {
      golden.load(in);
    }
    try (InputStream in = ModelWeights.class.getResourceAsStream("recall.bin")) {
      transformer = new Transformer(ModelWeights.read(in, "recall.bin"));
    }
  }

  @AfterAll
  static void close() {
    transformer.close();
  }

  @ParameterizedTest
  @EnumSource
  void computesWhatTheTrainingCodeDoes(DocumentKind kind) {
    String name = kind.name().toLowerCase(Locale.ROOT);
    RecallDocument document = GENERATOR.generate(kind, Long.parseLong(golden.getProperty(name + ".seed")));
    int[] prompt = concat(document.tokens(), document.questions().getFirst().tokens());
    assertEquals(Integer.parseInt(golden.getProperty(name + ".tokens")), prompt.length);
    assertEquals(Long.parseLong(golden.getProperty(name + ".crc32")), crc(prompt),
        "the generator has changed");

    try (KvState state = transformer.newState(prompt.length + RecallQuestion.MAX_ANSWER_TOKENS)) {
      float[] logits = transformer.prefill(state, prompt);
      double[] expected = Arrays.stream(golden.getProperty(name + ".logits.bf16").split(" "))
          .mapToDouble(Double::parseDouble)
          .toArray();
      for (int token = 0; token < expected.length; token++) {
        assertEquals(expected[token], logits[token], LOGIT_TOLERANCE, "logit of token " + token);
      }
      assertEquals(Integer.parseInt(golden.getProperty(name + ".argmax.bf16")), Transformer.argmax(logits));
      int[] answer = Arrays.stream(golden.getProperty(name + ".answer.bf16").split(" "))
          .mapToInt(Integer::parseInt)
          .toArray();
      assertArrayEquals(answer, concat(generate(state, logits), new int[] {Vocabulary.END}));
    }
  }

  @ParameterizedTest
  @EnumSource
  void answersQuestionsAboutUnseenDocuments(DocumentKind kind) {
    int asked = 0;
    int exact = 0;
    for (int number = 1; number <= DOCUMENTS; number++) {
      RecallDocument document = GENERATOR.generate(kind, DocumentGenerator.FIRST_HELD_OUT_SEED + number);
      int length = document.tokens().length;
      try (KvState state = transformer.newState(transformer.config().context())) {
        transformer.prefill(state, document.tokens());
        for (RecallQuestion question : document.questions().subList(0,
            Math.min(QUESTIONS, document.questions().size()))) {
          state.truncate(length);
          int[] answer = generate(state, transformer.prefill(state, question.tokens()));
          exact += question.isAnsweredBy(concat(answer, new int[] {Vocabulary.END})) ? 1 : 0;
          asked++;
        }
      }
    }
    assertTrue(exact >= LEAST_ACCURACY * asked, kind + ": " + exact + " of " + asked + " answers are exact");
  }

  private static int[] generate(KvState state, float[] logits) {
    return transformer.generate(state, logits, RecallQuestion.MAX_ANSWER_TOKENS, Vocabulary.END);
  }

  private static long crc(int[] tokens) {
    ByteBuffer bytes = ByteBuffer.allocate(tokens.length * Integer.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asIntBuffer().put(tokens);
    CRC32 crc = new CRC32();
    crc.update(bytes.array());
    return crc.getValue();
  }

  private static int[] concat(int[] head, int[] tail) {
    int[] all = Arrays.copyOf(head, head.length + tail.length);
    System.arraycopy(tail, 0, all, head.length, tail.length);
    return all;
  }
}
