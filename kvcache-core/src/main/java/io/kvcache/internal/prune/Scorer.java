package io.kvcache.internal.prune;

import io.kvcache.DropMethod;
import io.kvcache.LayerSpec;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;

/**
 * Ranks the tokens of a run of chunks by their keys or positions alone, one layer at a time. What the methods mean is
 * NVIDIA kvpress's: the higher a score, the rather the token is kept.
 */
public final class Scorer {
  /** First tokens of a context, which attention rests on whatever they say (Xiao et al., 2023). */
  static final int SINKS = 4;

  /** Elements read at once: few enough to stay in the L1 cache. */
  private static final int BLOCK_ELEMENTS = 4096;

  /** Below these a vector has no direction; kvpress's, which are those of PyTorch. */
  private static final float LEAST_NORM = 1e-12f;
  private static final float LEAST_COSINE_NORM = 1e-8f;

  private final LayerSpec layer;
  private final int chunkTokens;
  private final List<MemorySegment> keysPerChunk;
  private final Elements elements;
  private final int blockRows;
  private final float[] block;

  private Scorer(LayerSpec layer, int chunkTokens, List<MemorySegment> keysPerChunk) {
    this.layer = layer;
    this.chunkTokens = chunkTokens;
    this.keysPerChunk = keysPerChunk;
    elements = new Elements(layer.dtype());
    int channels = layer.kvHeads() * layer.keyDim();
    blockRows = Math.clamp(BLOCK_ELEMENTS / channels, 1, chunkTokens);
    block = new float[blockRows * channels];
  }

  /**
   * The scores of one layer of a run, {@code [kvHead][token]}; a key that holds NaN has the score NaN, none has minus
   * infinity.
   *
   * @param method one that needs no scores of the engine
   * @param firstToken position of the run's first token in its context
   * @param keysPerChunk the keys of each chunk, {@code [token][kvHead × keyDim]}
   */
  public static float[][] score(DropMethod method, LayerSpec layer, int chunkTokens, int firstToken,
      List<MemorySegment> keysPerChunk) {
    return switch (method) {
      case STREAMING_LLM -> recency(layer.kvHeads(), chunkTokens * keysPerChunk.size(), firstToken);
      case KNORM -> new Scorer(layer, chunkTokens, keysPerChunk).byNorm();
      case KEYDIFF -> new Scorer(layer, chunkTokens, keysPerChunk).byDifference();
      case NONE, SNAPKV, H2O, EXPECTED_ATTENTION, KVZIP ->
          throw new IllegalArgumentException(method + " does not rank by keys or position");
    };
  }

  private static float[][] recency(int kvHeads, int tokens, int firstToken) {
    float[] scores = new float[tokens];
    for (int token = 0; token < tokens; token++) {
      scores[token] = firstToken + token < SINKS ? Float.POSITIVE_INFINITY : token;
    }
    float[][] perHead = new float[kvHeads][];
    Arrays.fill(perHead, scores);
    return perHead;
  }

  /** Devoto et al., 2024: keys of small norm attract attention. */
  private float[][] byNorm() {
    float[][] scores = new float[layer.kvHeads()][chunkTokens * keysPerChunk.size()];
    // A norm beyond the largest number ranks last, but says no more than that: it is no mask.
    forEachKey((token, head, at) -> scores[head][token] = Math.max(-norm(at), -Float.MAX_VALUE));
    return scores;
  }

  /** Park et al., 2025: a key like all others stands for little that others do not. */
  private float[][] byDifference() {
    int dim = layer.keyDim();
    int tokens = chunkTokens * keysPerChunk.size();
    float[][] anchors = new float[layer.kvHeads()][dim];
    forEachKey((token, head, at) -> {
      float norm = norm(at);
      if (Float.isFinite(norm)) { // one bad key must not spoil the mean that all others are compared with
        addScaled(anchors[head], at, 1 / Math.max(norm, LEAST_NORM));
      }
    });
    float[] anchorNorms = new float[anchors.length];
    for (int head = 0; head < anchors.length; head++) {
      for (int d = 0; d < dim; d++) {
        anchors[head][d] /= tokens;
      }
      anchorNorms[head] =
          Math.max((float) Math.sqrt(dot(anchors[head], 0, anchors[head], 0, dim)), LEAST_COSINE_NORM);
    }
    float[][] scores = new float[layer.kvHeads()][tokens];
    forEachKey((token, head, at) -> scores[head][token] =
        -dot(block, at, anchors[head], 0, dim) / (Math.max(norm(at), LEAST_COSINE_NORM) * anchorNorms[head]));
    return scores;
  }

  private void addScaled(float[] sum, int at, float factor) {
    for (int d = 0; d < sum.length; d++) {
      sum[d] += block[at + d] * factor;
    }
  }

  /** Takes the key of a token and head, which is {@code block[at]} and following. */
  private interface KeySink {
    void accept(int token, int head, int at);
  }

  private void forEachKey(KeySink sink) {
    int heads = layer.kvHeads();
    int channels = heads * layer.keyDim();
    for (int chunk = 0; chunk < keysPerChunk.size(); chunk++) {
      MemorySegment keys = keysPerChunk.get(chunk);
      for (int row = 0; row < chunkTokens; row += blockRows) {
        int rows = Math.min(blockRows, chunkTokens - row);
        elements.read(keys, (long) row * channels, rows * channels, block);
        for (int i = 0; i < rows * heads; i++) {
          sink.accept(chunk * chunkTokens + row + i / heads, i % heads, i * layer.keyDim());
        }
      }
    }
  }

  private float norm(int at) {
    return (float) Math.sqrt(dot(block, at, block, at, layer.keyDim()));
  }

  /** Four sums, so that an addition need not wait for the one before. */
  private static float dot(float[] x, int xAt, float[] y, int yAt, int dim) {
    float s0 = 0;
    float s1 = 0;
    float s2 = 0;
    float s3 = 0;
    int d = 0;
    for (; d + 4 <= dim; d += 4) {
      s0 += x[xAt + d] * y[yAt + d];
      s1 += x[xAt + d + 1] * y[yAt + d + 1];
      s2 += x[xAt + d + 2] * y[yAt + d + 2];
      s3 += x[xAt + d + 3] * y[yAt + d + 3];
    }
    for (; d < dim; d++) {
      s0 += x[xAt + d] * y[yAt + d];
    }
    return s0 + s1 + s2 + s3;
  }
}
