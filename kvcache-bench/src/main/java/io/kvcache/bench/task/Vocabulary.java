package io.kvcache.bench.task;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The words of the recall task and their token ids, {@code 0} to {@code size() - 1}.
 *
 * <p>One token is one whole word. The shipped weights depend on the ids: changing a word list means
 * training again.
 */
public final class Vocabulary {
  /** Fills unused places of a training batch; never part of a document. */
  public static final int PAD = 0;

  /** Starts every document. */
  public static final int DOCUMENT = 1;

  /** Starts a question. */
  public static final int QUESTION = 2;

  /** Ends a question; the model's next token is the first of the answer. */
  public static final int ANSWER = 3;

  /** Ends an answer. */
  public static final int END = 4;

  private static final List<String> MARKERS =
      List.of("<pad>", "<document>", "question:", "answer:", "<end>");
  private static final List<String> WORDS = allWords();
  private static final Map<String, Integer> IDS = index(WORDS);
  private static final int FULL_STOP = id(".");

  private Vocabulary() {}

  /** Number of tokens: every id is below it. */
  public static int size() {
    return WORDS.size();
  }

  /**
   * The word of a token.
   *
   * @throws IllegalArgumentException if there is no such token
   */
  public static String word(int token) {
    if (token < 0 || token >= WORDS.size()) {
      throw new IllegalArgumentException(
          "token " + token + " is outside 0.." + (WORDS.size() - 1));
    }
    return WORDS.get(token);
  }

  /**
   * The token of a word.
   *
   * @throws IllegalArgumentException if the vocabulary lacks the word
   */
  public static int id(String word) {
    Integer id = IDS.get(word);
    if (id == null) {
      throw new IllegalArgumentException("no such word in the vocabulary: '" + word + "'");
    }
    return id;
  }

  /** The tokens of a text whose words are separated by white space; the inverse of {@link #render}. */
  public static int[] encode(String text) {
    String stripped = text.strip();
    if (stripped.isEmpty()) {
      return new int[0];
    }
    String[] words = stripped.split("\\s+");
    int[] tokens = new int[words.length];
    for (int i = 0; i < words.length; i++) {
      tokens[i] = id(words[i]);
    }
    return tokens;
  }

  /** The text of a token sequence, one sentence per line, for people to read. */
  public static String render(int... tokens) {
    StringBuilder text = new StringBuilder();
    boolean lineStart = true;
    for (int token : tokens) {
      if (!lineStart) {
        text.append(' ');
      }
      text.append(word(token));
      lineStart = token == FULL_STOP || token == DOCUMENT || token == END;
      if (lineStart) {
        text.append('\n');
      }
    }
    return text.toString();
  }

  private static List<String> allWords() {
    List<String> words = new ArrayList<>(MARKERS);
    words.addAll(Words.DIGITS);
    words.addAll(Words.GLUE);
    words.addAll(Words.NAMES);
    words.addAll(Words.ITEMS);
    words.addAll(Words.PLACES);
    words.addAll(Words.ANIMALS);
    words.addAll(Words.ADJECTIVES);
    words.addAll(Words.NOUNS);
    return List.copyOf(words);
  }

  private static Map<String, Integer> index(List<String> words) {
    Map<String, Integer> ids = HashMap.newHashMap(words.size());
    for (int i = 0; i < words.size(); i++) {
      if (ids.put(words.get(i), i) != null) {
        throw new AssertionError("word listed twice: " + words.get(i));
      }
    }
    return Map.copyOf(ids);
  }
}
