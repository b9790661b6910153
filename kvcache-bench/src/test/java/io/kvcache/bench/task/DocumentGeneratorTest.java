package io.kvcache.bench.task;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class DocumentGeneratorTest {
  private static final int SEEDS = 100;

  private final DocumentGenerator generator = new DocumentGenerator(DocumentSize.STANDARD);

  @ParameterizedTest
  @EnumSource
  void sameSeedSameDocument(DocumentKind kind) {
    DocumentGenerator other = new DocumentGenerator(DocumentSize.STANDARD);
    for (long seed = 0; seed < 10; seed++) {
      RecallDocument first = generator.generate(kind, seed);
      RecallDocument second = other.generate(kind, seed);
      assertArrayEquals(first.tokens(), second.tokens(), "seed " + seed);
      assertEquals(first.questions().size(), second.questions().size(), "seed " + seed);
      for (int i = 0; i < first.questions().size(); i++) {
        assertArrayEquals(first.questions().get(i).tokens(), second.questions().get(i).tokens());
        assertArrayEquals(first.questions().get(i).answer(), second.questions().get(i).answer());
      }
    }
  }

  @Test
  void everySeedAndKindGivesAnotherDocument() {
    Set<Integer> seen = new HashSet<>();
    for (DocumentKind kind : DocumentKind.values()) {
      for (long seed = 0; seed < SEEDS; seed++) {
        int[] tokens = generator.generate(kind, seed).tokens();
        assertTrue(seen.add(Arrays.hashCode(tokens)), kind + " seed " + seed);
      }
    }
  }

  @Test
  void aSeedOfATestStandsForAllKindsInTurn() {
    for (int number = 0; number < 12; number++) {
      assertEquals(DocumentKind.values()[number % 6], generator.heldOut(3, number).kind());
    }
    int[] last = generator.heldOut(3, 999_999).tokens();
    assertFalse(Arrays.equals(last, generator.heldOut(4, 0).tokens()), "the next seed has its own");
    assertFalse(Arrays.equals(last, generator.heldOut(4, 999_999).tokens()));
    assertArrayEquals(last, generator.heldOut(3, 999_999).tokens());
    for (int wrong : new int[] {-1, 1_000_000}) {
      assertThrows(IllegalArgumentException.class, () -> generator.heldOut(3, wrong));
    }
  }

  @ParameterizedTest
  @EnumSource
  void lengthsAreWithinTheSize(DocumentKind kind) {
    int shortest = Integer.MAX_VALUE;
    int longest = 0;
    for (long seed = 0; seed < SEEDS; seed++) {
      int length = generator.generate(kind, seed).tokens().length;
      assertTrue(length >= 500 && length <= 2_000, kind + " seed " + seed + " length " + length);
      shortest = Math.min(shortest, length);
      longest = Math.max(longest, length);
    }
    assertTrue(shortest < 700, "shortest " + shortest);
    assertTrue(longest > 1_100, "longest " + longest);
  }

  @ParameterizedTest
  @EnumSource
  void everyAnswerFollowsFromTheDocumentAlone(DocumentKind kind) {
    for (long seed = 0; seed < SEEDS; seed++) {
      RecallDocument document = generator.generate(kind, seed);
      DocumentSolver solver = new DocumentSolver(document);
      for (RecallQuestion question : document.questions()) {
        assertArrayEquals(solver.answer(question), question.answer(), kind + " seed " + seed);
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void shortDocumentsAreWholeToo(DocumentKind kind) {
    DocumentGenerator small = new DocumentGenerator(new DocumentSize(40, 60));
    for (long seed = 0; seed < 1_000; seed++) {
      RecallDocument document = small.generate(kind, seed);
      int length = document.tokens().length;
      assertTrue(length >= 40 && length <= 60, kind + " seed " + seed + " length " + length);
      DocumentSolver solver = new DocumentSolver(document);
      for (RecallQuestion question : document.questions()) {
        assertArrayEquals(solver.answer(question), question.answer(), kind + " seed " + seed);
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void questionsAreWellFormedAndDistinct(DocumentKind kind) {
    for (long seed = 0; seed < SEEDS; seed++) {
      RecallDocument document = generator.generate(kind, seed);
      assertEquals(Vocabulary.DOCUMENT, document.tokens()[0]);
      assertFalse(document.questions().isEmpty());
      Set<String> asked = new HashSet<>();
      for (RecallQuestion question : document.questions()) {
        int[] tokens = question.tokens();
        assertEquals(Vocabulary.QUESTION, tokens[0]);
        assertEquals(Vocabulary.ANSWER, tokens[tokens.length - 1]);
        assertTrue(question.answer().length >= 1);
        assertTrue(question.answer().length < RecallQuestion.MAX_ANSWER_TOKENS);
        assertTrue(asked.add(Vocabulary.render(tokens)), "asked twice, seed " + seed);
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void theMostFrequentAnswerIsRare(DocumentKind kind) {
    Map<String, Integer> answers = new HashMap<>();
    int questions = 0;
    for (long seed = 0; seed < SEEDS; seed++) {
      for (RecallQuestion question : generator.generate(kind, seed).questions()) {
        answers.merge(Vocabulary.render(question.answer()), 1, Integer::sum);
        questions++;
      }
    }
    int most = answers.values().stream().max(Integer::compare).orElseThrow();
    assertTrue(most < 0.05 * questions, kind + ": one answer fits " + most + " of " + questions);
  }

  @Test
  void onlyTheWholeAnswerWithItsEndIsRight() {
    RecallQuestion question =
        new RecallQuestion(Vocabulary.encode("question: otter code answer:"), new int[] {5, 6});
    assertTrue(question.isAnsweredBy(5, 6, Vocabulary.END));
    assertTrue(question.isAnsweredBy(5, 6, Vocabulary.END, 9));
    assertFalse(question.isAnsweredBy(5, 6));
    assertFalse(question.isAnsweredBy(5, 6, 7));
    assertFalse(question.isAnsweredBy(5, Vocabulary.END));
    assertFalse(question.isAnsweredBy(6, 5, Vocabulary.END));
    assertFalse(question.isAnsweredBy());
  }

  @Test
  void impossibleSizesAreRefused() {
    assertThrows(IllegalArgumentException.class, () -> new DocumentSize(39, 100));
    assertThrows(IllegalArgumentException.class, () -> new DocumentSize(100, 119));
    assertThrows(IllegalArgumentException.class, () -> new DocumentSize(100, 4_097));
  }
}
