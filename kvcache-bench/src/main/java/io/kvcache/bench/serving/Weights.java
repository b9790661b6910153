package io.kvcache.bench.serving;

import io.kvcache.bench.model.ModelWeights;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;

/** The weights that come with the bench, or others. */
public final class Weights {
  /** Stands for the shipped weights and their revision in namespaces. */
  static final String SHIPPED_NAME = "kvcache-recall@1";

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

  /** Those of {@code file}, or the shipped ones when it is null. */
  public static ModelWeights of(Path file) throws IOException {
    return file == null ? shipped() : ModelWeights.read(file);
  }

  /** Stands for the weights of {@code file}, or the shipped ones when it is null, in namespaces. */
  public static String nameOf(Path file) {
    return file == null ? SHIPPED_NAME : file.toAbsolutePath().toString();
  }
}
