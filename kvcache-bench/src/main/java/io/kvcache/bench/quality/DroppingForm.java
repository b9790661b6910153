package io.kvcache.bench.quality;

import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.KvLayout;
import io.kvcache.internal.prune.Kept;
import io.kvcache.internal.prune.Selection;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Ways to divide the (layer, head, token) entries that may be kept of a run, by the same scores: two that a cache
 * stores, and others to tell what those lose, or why they are as they are. All keep equally many entries.
 */
enum DroppingForm {
  /** In each layer and head the share, and in each head of a chunk equally many: what a cache stores. */
  STORED("stored"),
  /** The same without regard to chunks: each head its best. */
  FREE("free of chunks"),
  /** As many in all heads of a layer, but more in one layer than in another; frames could hold it. */
  LAYERS("by layer"),
  /** Over the heads of a layer freely, but each at least a fifth of the share (AdaKV, Feng et al., 2024). */
  RAGGED_LAYER("ragged in layer"),
  /** Over all layers and heads freely (KVzip). */
  RAGGED("ragged"),
  /** The same tokens in all layers and heads, by the mean of their ranks: what a cache stores for those who ask. */
  UNIFORM("uniform"),
  /** The same tokens, by the best of their ranks. */
  UNIFORM_BEST("uniform, best"),
  /** The same tokens, by the mean of their shares of the sum of a head's scores. */
  UNIFORM_SHARE("uniform, shares");

  /** Of the share of a head, as in AdaKV and kvpress. */
  private static final double SAFEGUARD = 0.2;

  private final String label;

  DroppingForm(String label) {
    this.label = label;
  }

  /** A few words for reports. */
  String label() {
    return label;
  }

  /**
   * The positions kept, [layer][kvHead], ascending.
   *
   * @param scores [layer][kvHead][token] of a run of whole chunks
   */
  int[][][] positions(KvLayout layout, float[][][] scores, DropMethod method, int percent) {
    int budget = Selection.budget(scores[0][0].length, percent);
    return switch (this) {
      case STORED -> offsets(layout, Selection.kept(layout, scores, Encoding.RAW.keeping(method, percent)));
      case UNIFORM ->
          offsets(layout, Selection.kept(layout, scores, Encoding.RAW.keepingUniformly(method, percent)));
      case FREE -> best(scores, 1, budget);
      case LAYERS -> byLayer(scores, budget);
      case RAGGED_LAYER -> {
        int[][][] positions = new int[scores.length][][];
        Arrays.setAll(positions, layer -> best(new float[][][] {scores[layer]}, SAFEGUARD, budget)[0]);
        yield positions;
      }
      case RAGGED -> best(scores, 0, budget);
      case UNIFORM_BEST, UNIFORM_SHARE -> {
        float[][][] one = {{this == UNIFORM_BEST ? bestRanks(scores) : meanShares(scores)}};
        int[] kept = best(one, 1, budget)[0][0];
        int[][][] positions = new int[scores.length][][];
        for (int layer = 0; layer < positions.length; layer++) {
          positions[layer] = new int[scores[layer].length][];
          Arrays.fill(positions[layer], kept);
        }
        yield positions;
      }
    };
  }

  private static int[][][] offsets(KvLayout layout, Kept... chunks) {
    int[][][] positions = new int[layout.layers().size()][][];
    for (int layer = 0; layer < positions.length; layer++) {
      positions[layer] = new int[layout.layer(layer).kvHeads()][];
      for (int head = 0; head < positions[layer].length; head++) {
        int inLayer = layer;
        int inHead = head;
        positions[layer][head] = IntStream.range(0, chunks.length).flatMap(chunk -> Arrays
            .stream(chunks[chunk].positions(inLayer, inHead)).map(at -> chunk * layout.chunkTokens() + at))
            .toArray();
      }
    }
    return positions;
  }

  /** A token of one of the heads, which are counted over all layers. */
  private record Entry(int head, int token, float score) {}

  /** The entries of highest score, {@code budget} a head on average, and of each head this part of it at least. */
  private static int[][][] best(float[][][] scores, double safeguard, int budget) {
    List<float[]> heads = Arrays.stream(scores).flatMap(Arrays::stream).toList();
    List<Entry> all = new ArrayList<>();
    for (int head = 0; head < heads.size(); head++) {
      int[] ranked = ranked(heads.get(head));
      for (int rank = 0; rank < ranked.length; rank++) {
        boolean safe = rank < (int) (budget * safeguard);
        all.add(new Entry(head, ranked[rank],
            safe ? Float.POSITIVE_INFINITY : heads.get(head)[ranked[rank]]));
      }
    }
    all.sort(Comparator.comparingDouble(Entry::score).reversed());
    List<List<Integer>> kept = new ArrayList<>();
    heads.forEach(head -> kept.add(new ArrayList<>()));
    all.subList(0, heads.size() * budget).forEach(entry -> kept.get(entry.head).add(entry.token));
    int[][][] positions = new int[scores.length][][];
    int next = 0;
    for (int layer = 0; layer < positions.length; layer++) {
      positions[layer] = new int[scores[layer].length][];
      for (int head = 0; head < positions[layer].length; head++) {
        positions[layer][head] = kept.get(next++).stream().mapToInt(Integer::intValue).sorted().toArray();
      }
    }
    return positions;
  }

  /** Tokens, the highest score first, of equal ones the later. */
  private static int[] ranked(float[] scores) {
    return IntStream.range(0, scores.length).boxed().sorted(Comparator
        .<Integer, Float>comparing(token -> scores[token]).thenComparing(token -> token).reversed())
        .mapToInt(Integer::intValue).toArray();
  }

  /** Each layer keeps what the ragged form would keep of it, but shared out evenly among its heads. */
  private static int[][][] byLayer(float[][][] scores, int budget) {
    int[][][] ragged = best(scores, 0, budget);
    int heads = scores[0].length;
    int[] counts = new int[scores.length];
    int[] remainders = new int[scores.length];
    for (int layer = 0; layer < counts.length; layer++) {
      int entries = Arrays.stream(ragged[layer]).mapToInt(head -> head.length).sum();
      counts[layer] = entries / heads;
      remainders[layer] = entries % heads;
    }
    IntStream.range(0, counts.length).boxed()
        .sorted(Comparator.comparingInt(layer -> -remainders[layer]))
        .limit((long) budget * counts.length - Arrays.stream(counts).sum())
        .forEach(layer -> counts[layer]++);
    int[][][] positions = new int[scores.length][][];
    Arrays.setAll(positions, layer -> best(new float[][][] {scores[layer]}, 1, counts[layer])[0]);
    return positions;
  }

  private static float[] bestRanks(float[][][] scores) {
    float[] best = new float[scores[0][0].length];
    Arrays.fill(best, Float.NEGATIVE_INFINITY);
    for (float[][] layer : scores) {
      for (float[] head : layer) {
        int[] ranked = ranked(head);
        for (int rank = 0; rank < ranked.length; rank++) {
          best[ranked[rank]] = Math.max(best[ranked[rank]], -rank);
        }
      }
    }
    return best;
  }

  /** Scores that may be below zero are counted from the least; infinite ones are the whole sum. */
  private static float[] meanShares(float[][][] scores) {
    float[] sums = new float[scores[0][0].length];
    for (float[][] layer : scores) {
      for (float[] head : layer) {
        float least = 0;
        for (float score : head) {
          least = Math.min(least, score);
        }
        double sum = 0;
        for (float score : head) {
          sum += Float.isInfinite(score) ? 0 : score - least;
        }
        for (int token = 0; token < sums.length; token++) {
          sums[token] += Float.isInfinite(head[token]) ? 1 : (float) ((head[token] - least) / sum);
        }
      }
    }
    return sums;
  }
}
