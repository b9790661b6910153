package io.kvcache.bench.task;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class VocabularyTest {
  @Test
  void wordsAndIdsAgree() {
    for (int token = 0; token < Vocabulary.size(); token++) {
      assertEquals(token, Vocabulary.id(Vocabulary.word(token)));
    }
    assertTrue(Vocabulary.size() <= 512, "size " + Vocabulary.size());
  }

  @Test
  void markersHaveTheirWords() {
    assertEquals(Vocabulary.PAD, Vocabulary.id("<pad>"));
    assertEquals(Vocabulary.DOCUMENT, Vocabulary.id("<document>"));
    assertEquals(Vocabulary.QUESTION, Vocabulary.id("question:"));
    assertEquals(Vocabulary.ANSWER, Vocabulary.id("answer:"));
    assertEquals(Vocabulary.END, Vocabulary.id("<end>"));
  }

  @ParameterizedTest
  @EnumSource(DocumentKind.class)
  void renderedDocumentsCanBeReadBack(DocumentKind kind) {
    int[] tokens = new DocumentGenerator(DocumentSize.STANDARD).generate(kind, 7).tokens();
    assertArrayEquals(tokens, Vocabulary.encode(Vocabulary.render(tokens)));
  }

  @Test
  void sentencesHaveTheirOwnLines() {
    assertEquals(
        "<document>\nalert host otter .\nquestion: otter code answer: 7 <end>\n",
        Vocabulary.render(
            Vocabulary.encode("<document> alert host otter . question: otter code answer: 7 <end>")));
    assertEquals("", Vocabulary.render());
    assertEquals(0, Vocabulary.encode(" ").length);
  }

  @ParameterizedTest
  @ValueSource(ints = {-1, 512, Integer.MIN_VALUE, Integer.MAX_VALUE})
  void unknownTokensAreRefused(int token) {
    IllegalArgumentException thrown =
        assertThrows(IllegalArgumentException.class, () -> Vocabulary.word(token));
    assertTrue(thrown.getMessage().contains(String.valueOf(token)), thrown.getMessage());
  }

  @Test
  void unknownWordsAreRefused() {
    assertThrows(IllegalArgumentException.class, () -> Vocabulary.encode("the zeppelin"));
  }
}
