package io.kvcache.internal.quality;

import io.kvcache.KvHalf;
import io.kvcache.KvLayout;
import io.kvcache.LayerSpec;
import io.kvcache.internal.prune.Elements;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/**
 * How much of what attention would read from a run of chunks survives an encoding of them, from 0 to 1: an estimate of
 * quality for when nobody asks questions.
 *
 * <p>A model suffers when attention reads something else than it would have. Which queries will come is not known, but
 * they have learned to tell keys apart, so they point where keys differ from each other. A probe is therefore a random
 * direction in which the keys spread: a sum of a few of them with random signs. It is scaled until its attention rests
 * on about three tokens, as that of a head which looks something up does. Scaled so, it finds the keys that stick out,
 * which are those that models look up too; a probe made of a single key, or one that is as likely to find any key as
 * any other, says little more than how many tokens are left (measured).
 *
 * <p>For each probe the attention output of the exact KV is compared with that of the decoded KV. The error counts in
 * units of the output's distance from the mean value, which is what attention to nothing in particular gives. Half that
 * distance counts as half lost; the curve is steep there, because greedy decoding shrugs off small errors. The result
 * is the mean over probes, heads and layers. The first layer is left out: its keys know nothing but their own token.
 *
 * <p>It ranks the encodings of one context. Numbers of different contexts compare less well. Costs about 4 × probes ×
 * tokens × dim operations a head; of a model with many heads a sample is taken. Immutable and thread-safe; the same KV
 * gives the same number.
 */
public final class AttentionFidelity {
  /** Probes of each head. */
  private static final int PROBES = 64;

  /** Heads looked at, over all layers. */
  private static final int MAX_HEADS = 16;

  /** Keys whose signed sum is a probe: enough to be spread normally, as the keys' second moments are. */
  private static final int KEYS_OF_A_PROBE = 16;

  /** Tokens that the attention of a probe rests on: e to the power of its entropy. */
  private static final double FOCUS_TOKENS = 3;

  /** The error, relative to the distance from the mean value, by which half of a probe's content is lost. */
  private static final double HALF_LOST = 0.5;

  /** Power of the error by which content is lost. */
  private static final double STEEPNESS = 8;

  private static final int SCALING_STEPS = 16;
  private static final double MAX_SCALE = 1e4;

  /** The keys or values of each chunk of a run, as {@code [row][kvHead × dim]}; a row for each token that is kept. */
  public interface Rows {
    /** One segment a chunk, whose length says how many rows there are; keys and values have equally many. */
    List<MemorySegment> chunks(int layer, KvHalf half);
  }

  /** One head of one layer: what it is probed with, and what it answers. Arrays are [dim][probe]. */
  private record ProbedHead(int layer, int kvHead, float[][] queries, float[][] outputs,
      double[] distances) {}

  private final KvLayout layout;
  private final List<ProbedHead> heads = new ArrayList<>();

  /**
   * Probes the exact KV of a run of chunks, which is not needed afterwards.
   *
   * @param layout one that is {@linkplain #supports supported}
   */
  public AttentionFidelity(KvLayout layout, Rows exact) {
    this.layout = layout;
    List<int[]> all = readableHeads(layout);
    if (all.isEmpty()) {
      throw new IllegalArgumentException("no layer of " + layout + " can be looked at");
    }
    int count = Math.min(all.size(), MAX_HEADS);
    for (int i = 0; i < count; i++) {
      int[] head = all.get((int) ((2L * i + 1) * all.size() / (2L * count))); // spread evenly
      heads.add(probe(head[0], head[1], exact));
    }
  }

  /** Whether there are layers whose elements are numbers. */
  public static boolean supports(KvLayout layout) {
    return !readableHeads(layout).isEmpty();
  }

  /** Layer and head of all that can be looked at; the first layer only where there is no other. */
  private static List<int[]> readableHeads(KvLayout layout) {
    List<int[]> heads = new ArrayList<>();
    int layers = layout.layers().size();
    for (int layer = Math.min(1, layers - 1); layer < layers; layer++) {
      LayerSpec spec = layout.layer(layer);
      for (int head = 0; head < spec.kvHeads() && Elements.readable(spec.dtype()); head++) {
        heads.add(new int[] {layer, head});
      }
    }
    return heads;
  }

  private ProbedHead probe(int layer, int kvHead, Rows exact) {
    float[][] keys = read(layer, kvHead, KvHalf.KEYS, exact);
    float[][] values = values(layer, kvHead, exact, keys);
    float[][] queries = directions(keys, new SplittableRandom(31L * layer + kvHead));
    focus(queries, keys);
    float[][] outputs = Attention.outputs(queries, keys, values);
    double[] distances = new double[PROBES];
    for (int d = 0; d < outputs.length; d++) {
      double mean = 0;
      for (float[] value : values) {
        mean += value[d];
      }
      mean /= values.length;
      for (int probe = 0; probe < PROBES; probe++) {
        distances[probe] += Math.pow(outputs[d][probe] - mean, 2);
      }
    }
    return new ProbedHead(layer, kvHead, queries, outputs, distances);
  }

  private static float[][] directions(float[][] keys, SplittableRandom random) {
    float[][] queries = new float[keys[0].length][PROBES];
    for (int probe = 0; probe < PROBES; probe++) {
      for (int i = 0; i < KEYS_OF_A_PROBE; i++) {
        float[] key = keys[random.nextInt(keys.length)];
        float sign = random.nextBoolean() ? 1 : -1;
        for (int d = 0; d < key.length; d++) {
          queries[d][probe] += sign * key[d];
        }
      }
    }
    return queries;
  }

  /** Scales each probe until its attention rests on few tokens; one that can tell no keys apart stays blunt. */
  private static void focus(float[][] queries, float[][] keys) {
    float[][] scores = Attention.scores(queries, keys);
    double[] gaps = new double[keys.length];
    for (int probe = 0; probe < PROBES; probe++) {
      double max = Double.NEGATIVE_INFINITY;
      for (float[] row : scores) {
        max = Math.max(max, row[probe]);
      }
      double spread = 0;
      for (int token = 0; token < gaps.length; token++) {
        gaps[token] = scores[token][probe] - max;
        spread = Math.max(spread, -gaps[token]);
      }
      float scale = spread > 0 ? (float) (scale(gaps, spread) / spread) : 0;
      for (float[] row : queries) {
        row[probe] *= scale;
      }
    }
  }

  /** The range of scores, from least to greatest, at which attention has the wanted focus. */
  private static double scale(double[] gaps, double spread) {
    double low = 1;
    double high = MAX_SCALE;
    for (int step = 0; step < SCALING_STEPS; step++) {
      double middle = Math.sqrt(low * high);
      double sum = 0;
      double weighted = 0;
      for (double gap : gaps) {
        double exponent = gap * middle / spread;
        if (exponent > -30) { // less does not count
          double weight = Math.exp(exponent);
          sum += weight;
          weighted += weight * exponent;
        }
      }
      double entropy = Math.log(sum) - weighted / sum;
      if (entropy > Math.log(FOCUS_TOKENS)) {
        low = middle;
      } else {
        high = middle;
      }
    }
    return low;
  }

  /**
   * The share of what attention reads that survives, 0 to 1; exactly 1 for the exact KV.
   *
   * @param decoded of the same chunks, what a read would give back
   */
  public double estimate(Rows decoded) {
    double sum = 0;
    for (ProbedHead head : heads) {
      float[][] keys = read(head.layer, head.kvHead, KvHalf.KEYS, decoded);
      if (keys.length > 0) {
        float[][] values = values(head.layer, head.kvHead, decoded, keys);
        sum += survived(head, Attention.outputs(head.queries, keys, values));
      }
    }
    return sum / (heads.size() * PROBES);
  }

  private static double survived(ProbedHead head, float[][] outputs) {
    double[] errors = new double[PROBES];
    for (int d = 0; d < outputs.length; d++) {
      for (int probe = 0; probe < PROBES; probe++) {
        errors[probe] += Math.pow(outputs[d][probe] - head.outputs[d][probe], 2);
      }
    }
    double sum = 0;
    for (int probe = 0; probe < PROBES; probe++) {
      double lost = errors[probe] / (head.distances[probe] * HALF_LOST * HALF_LOST); // squares
      double part = errors[probe] == 0 ? 1 : 1 / (1 + Math.pow(lost, STEEPNESS / 2));
      sum += Double.isNaN(part) ? 0 : part;
    }
    return sum;
  }

  private float[][] values(int layer, int kvHead, Rows rows, float[][] keys) {
    return layout.layer(layer).valueDim() == 0 ? keys : read(layer, kvHead, KvHalf.VALUES, rows);
  }

  /** All rows of one head, [row][dim]. */
  private float[][] read(int layer, int kvHead, KvHalf half, Rows rows) {
    LayerSpec spec = layout.layer(layer);
    Elements elements = new Elements(spec.dtype());
    int channels = spec.rowBytes(half) / spec.dtype().bytes();
    int dim = channels / spec.kvHeads();
    float[] block = new float[layout.chunkTokens() * channels];
    List<float[]> all = new ArrayList<>();
    for (MemorySegment chunk : rows.chunks(layer, half)) {
      int count = Math.toIntExact(chunk.byteSize() / spec.rowBytes(half));
      elements.read(chunk, 0, count * channels, block);
      for (int row = 0; row < count; row++) {
        float[] copy = new float[dim];
        System.arraycopy(block, row * channels + kvHead * dim, copy, 0, dim);
        all.add(copy);
      }
    }
    return all.toArray(float[][]::new);
  }
}
