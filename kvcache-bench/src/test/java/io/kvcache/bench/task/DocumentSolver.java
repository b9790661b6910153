package io.kvcache.bench.task;

import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Answers questions by reading the rendered document, knowing nothing of how it was generated. */
final class DocumentSolver {
  private final String text;

  DocumentSolver(RecallDocument document) {
    this.text = Vocabulary.render(document.tokens());
  }

  /** The only answer that the document supports. */
  int[] answer(RecallQuestion question) {
    String[] words = Vocabulary.render(question.tokens()).split(" ");
    String subject = words[words.length - 2];
    String asked = String.join(" ", Arrays.copyOfRange(words, 1, words.length - 3));
    Set<String> found =
        switch (asked) {
          case "town" ->
              find("<who> (?:of|lives in|is at home in|still stays in) (\\w+)", subject);
          case "coins" -> find("<who> of \\w+ has (\\d \\d) coins \\.", subject);
          case "item" ->
              find("<who> (?:carries the |still keeps the |with the |)(\\w+) \\.", subject);
          case "code" -> find("alert host <who> code (\\d \\d \\d) \\.", subject);
          case "house" -> houseAndTown(subject);
          case "number" -> find("the number of <who> is ((?:\\d ){6})", subject);
          default -> throw new AssertionError("what is asked here? " + asked);
        };
    if (found.size() != 1) {
      throw new AssertionError(found + " for " + subject + " " + asked + " in\n" + text);
    }
    return Vocabulary.encode(found.iterator().next());
  }

  private Set<String> houseAndTown(String person) {
    String house = find("<who> belongs to house (\\w+)", person).iterator().next();
    Set<String> both = new LinkedHashSet<>();
    find("house <who> stands in (\\w+)", house).forEach(town -> both.add(house + " in " + town));
    return both;
  }

  private Set<String> find(String pattern, String subject) {
    Matcher matcher = Pattern.compile("\\b" + pattern.replace("<who>", subject)).matcher(text);
    Set<String> found = new LinkedHashSet<>();
    while (matcher.find()) {
      found.add(matcher.group(1).strip());
    }
    return found;
  }
}
