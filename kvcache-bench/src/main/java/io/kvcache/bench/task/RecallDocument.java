package io.kvcache.bench.task;

import java.util.List;

/**
 * A generated document with every question that can be asked about it, in random order. The token
 * array belongs to the record: do not change it.
 *
 * @param kind what the document is like
 * @param tokens the document, beginning with {@link Vocabulary#DOCUMENT}
 * @param questions at least one; no two ask the same
 */
public record RecallDocument(DocumentKind kind, int[] tokens, List<RecallQuestion> questions) {
  public RecallDocument {
    questions = List.copyOf(questions);
  }
}
