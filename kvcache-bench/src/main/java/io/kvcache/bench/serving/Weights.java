package io.kvcache.bench.serving;

import io.kvcache.bench.model.ModelWeights;
import io.kvcache.bench.task.DocumentSize;
import io.kvcache.bench.task.Vocabulary;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;

/** The weights that come with the bench, or others. */
public final class Weights {
  /** Stands for the shipped weights and their revision in namespaces. */
  static final String SHIPPED_NAME = "kvcache-recall@1";

  /** The longest document, a question and its answer. */
  private static final int LEAST_CONTEXT = DocumentSize.STANDARD.maxTokens() + CachedModel.ROOM_FOR_QUESTION;
  private static final String RESOURCE = "recall.bin";

  private Weights() {}

  /** Those that come with the bench. */
  public static ModelWeights shipped() throws IOException {
    try (InputStream in = ModelWeights.class.getResourceAsStream(RESOURCE)) {
      if (in == null) {
        throw new IOException(
            "the weights " + RESOURCE + " are not on the class path: build with Maven first");
      }
      return ModelWeights.read(in, RESOURCE);
    }
  }

  /**
   * Those of {@code file}, or the shipped ones when it is null.
   *
   * @throws IOException also when the model is too small for the documents, which it would find out in the middle
   */
  public static ModelWeights of(Path file) throws IOException {
    if (file == null) {
      return shipped();
    }
    ModelWeights weights = ModelWeights.read(file);
    requireAtLeast(file, "context", weights.config().context(), LEAST_CONTEXT);
    requireAtLeast(file, "vocabulary", weights.config().vocabulary(), Vocabulary.size());
    return weights;
  }

  private static void requireAtLeast(Path file, String what, int tokens, int least) throws IOException {
    if (tokens < least) {
      throw new IOException(
          file + " has a " + what + " of " + tokens + " tokens, documents with questions need "
              + least);
    }
  }

  /** Stands for the weights of {@code file}, or the shipped ones when it is null, in namespaces. */
  public static String nameOf(Path file) {
    return file == null ? SHIPPED_NAME : file.toAbsolutePath().toString();
  }
}
