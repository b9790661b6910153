package io.kvcache.bench.task;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.Supplier;

/** A document being written: lines within a budget of tokens, questions, and random choices. */
final class Draft {
  private final SplittableRandom random;
  private final int budgetTokens;
  private final List<int[]> lines = new ArrayList<>();
  private final List<RecallQuestion> questions = new ArrayList<>();
  private final int[] title;
  private int tokens;

  Draft(SplittableRandom random, int budgetTokens, String title) {
    this.random = random;
    this.budgetTokens = budgetTokens;
    this.title = Vocabulary.encode(title);
    this.tokens = 1 + this.title.length;
  }

  /** Appends a line; false, and nothing appended, if the budget does not allow it. */
  boolean line(String text) {
    int[] line = Vocabulary.encode(text);
    if (tokens + line.length > budgetTokens) {
      return false;
    }
    lines.add(line);
    tokens += line.length;
    return true;
  }

  /** Appends lines for as long as the budget allows. */
  void fill(Supplier<String> texts) {
    boolean room = true;
    while (room) {
      room = line(texts.get());
    }
  }

  /** Records a question such as "question: town of anna answer:". */
  void question(String asked, String subject, String answer) {
    questions.add(
        new RecallQuestion(
            Vocabulary.encode("question: " + asked + " of " + subject + " answer:"),
            Vocabulary.encode(answer)));
  }

  /** The share of the budget that {@code tokensPerFact} tokens each would fill, in facts. */
  int facts(int tokensPerFact, int min, int max) {
    return Math.clamp(budgetTokens / tokensPerFact, min, max);
  }

  void shuffleLines() {
    shuffle(lines);
  }

  RecallDocument finish(DocumentKind kind) {
    int[] document = new int[tokens];
    document[0] = Vocabulary.DOCUMENT;
    System.arraycopy(title, 0, document, 1, title.length);
    int at = 1 + title.length;
    for (int[] line : lines) {
      System.arraycopy(line, 0, document, at, line.length);
      at += line.length;
    }
    shuffle(questions);
    return new RecallDocument(kind, document, questions);
  }

  boolean chance(double probability) {
    return random.nextDouble() < probability;
  }

  int below(int bound) {
    return random.nextInt(bound);
  }

  String pick(List<String> from) {
    return from.get(random.nextInt(from.size()));
  }

  /** {@code count} different elements in random order. */
  List<String> pickDistinct(List<String> from, int count) {
    List<String> all = new ArrayList<>(from);
    shuffle(all);
    return all.subList(0, count);
  }

  /** A number of {@code digits} digits, each a word. */
  String number(int digits) {
    StringBuilder number = new StringBuilder();
    for (int i = 0; i < digits; i++) {
      number.append(i == 0 ? "" : " ").append(random.nextInt(10));
    }
    return number.toString();
  }

  void shuffle(List<?> list) {
    for (int i = list.size() - 1; i > 0; i--) {
      Collections.swap(list, i, random.nextInt(i + 1));
    }
  }
}
