package io.kvcache.bench.demo;

import io.kvcache.bench.task.DocumentGenerator;
import io.kvcache.bench.task.DocumentSize;
import io.kvcache.bench.task.RecallDocument;
import io.kvcache.bench.task.RecallQuestion;
import java.util.ArrayList;
import java.util.List;

/**
 * The documents and questions of one demo: all kinds in turn, from seeds the model was never trained on.
 *
 * @param documents what is read
 * @param questions what is asked, document by document
 */
record DemoTask(List<RecallDocument> documents, List<Asked> questions) {
  /** One question, and the document it is about. */
  record Asked(int index, RecallDocument document, RecallQuestion question) {}

  /** The task of this size and seed, always the same. */
  static DemoTask generate(int documentCount, int questionsEach, long seed) {
    DocumentGenerator generator = new DocumentGenerator(DocumentSize.STANDARD);
    List<RecallDocument> documents = new ArrayList<>();
    List<Asked> questions = new ArrayList<>();
    for (int number = 0; number < documentCount; number++) {
      RecallDocument document = generator.heldOut(seed, number);
      documents.add(document);
      int count = Math.min(questionsEach, document.questions().size());
      for (RecallQuestion question : document.questions().subList(0, count)) {
        questions.add(new Asked(questions.size(), document, question));
      }
    }
    return new DemoTask(documents, questions);
  }
}
