package io.kvcache.bench.model;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/**
 * The weights of a model: immutable, shared freely between threads and {@link Transformer}s. Each matrix is
 * held twice (once per vector axis), so that memory is twice the file.
 */
public final class ModelWeights {
  /** One decoder layer; gains are [width], matrices as commented in {@link Checkpoint}. */
  record Layer(
      float[] attentionGains,
      Matrix query,
      Matrix key,
      Matrix value,
      Matrix output,
      float[] mlpGains,
      Matrix gate,
      Matrix down,
      Matrix up) {}

  private final ModelConfig config;
  private final Matrix embedding;
  private final List<Layer> layers;
  private final float[] finalGains;
  private final Matrix logits;

  ModelWeights(
      ModelConfig config, Matrix embedding, List<Layer> layers, float[] finalGains, Matrix logits) {
    this.config = config;
    this.embedding = embedding;
    this.layers = List.copyOf(layers);
    this.finalGains = finalGains;
    this.logits = logits;
  }

  /**
   * Reads a checkpoint in the llama2.c format.
   *
   * @throws IOException if the file cannot be read or is no such checkpoint; found out from its header and
   *     length before anything of a size it names is allocated
   */
  public static ModelWeights read(Path file) throws IOException {
    return Checkpoint.read(file);
  }

  /**
   * Reads a checkpoint, such as a class path resource, to the end of {@code in}, which stays open.
   *
   * @param name names the checkpoint in errors
   * @throws IOException as for {@link #read(Path)}
   */
  public static ModelWeights read(InputStream in, String name) throws IOException {
    return Checkpoint.read(in, name);
  }

  /** Random weights of plausible magnitudes, the same for the same seed; for tests and speed probes. */
  public static ModelWeights random(ModelConfig config, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    Matrix embedding = randomMatrix(config.vocabulary(), config.width(), random);
    List<Layer> layers = new ArrayList<>();
    for (int i = 0; i < config.layers(); i++) {
      layers.add(randomLayer(config, random));
    }
    float[] finalGains = randomGains(config.width(), random);
    Matrix logits = config.tied() ? embedding : randomMatrix(config.vocabulary(), config.width(), random);
    return new ModelWeights(config, embedding, layers, finalGains, logits);
  }

  private static Layer randomLayer(ModelConfig config, SplittableRandom random) {
    int width = config.width();
    return new Layer(
        randomGains(width, random),
        randomMatrix(width, width, random),
        randomMatrix(config.kvWidth(), width, random),
        randomMatrix(config.kvWidth(), width, random),
        randomMatrix(width, width, random),
        randomGains(width, random),
        randomMatrix(config.hidden(), width, random),
        randomMatrix(width, config.hidden(), random),
        randomMatrix(config.hidden(), width, random));
  }

  private static float[] randomGains(int width, SplittableRandom random) {
    float[] gains = new float[width];
    for (int i = 0; i < width; i++) {
      gains[i] = 0.5f + random.nextFloat();
    }
    return gains;
  }

  private static Matrix randomMatrix(int outputs, int inputs, SplittableRandom random) {
    double deviation = 1 / Math.sqrt(inputs);
    float[][] rows = new float[outputs][inputs];
    for (float[] row : rows) {
      for (int i = 0; i < inputs; i++) {
        row[i] = (float) random.nextGaussian(0, deviation);
      }
    }
    return new Matrix(rows);
  }

  /** The shape of the model. */
  public ModelConfig config() {
    return config;
  }

  List<Layer> layers() {
    return layers;
  }

  /** The embedding of a token, [width]; not to be written to. */
  float[] embedding(int token) {
    return embedding.row(token);
  }

  /** Gains of the normalisation before the output matrix, [width]. */
  float[] finalGains() {
    return finalGains;
  }

  /** The output matrix, [vocabulary][width]. */
  Matrix logitsMatrix() {
    return logits;
  }

  /** The scores of all tokens to come next, given the last layer's output for one token. */
  float[] logits(float[] x) {
    float[] normal = new float[config.width()];
    Kernels.normalise(normal, x, finalGains);
    float[] result = new float[config.vocabulary()];
    logits.addProduct(result, normal);
    return result;
  }
}
