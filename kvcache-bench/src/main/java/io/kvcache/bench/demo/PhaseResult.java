package io.kvcache.bench.demo;

import io.kvcache.CacheStats;
import io.kvcache.bench.serving.CachedModel.Answer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * One pass over all questions.
 *
 * @param name what was special about it
 * @param ttftMillisMedian median time to first token
 * @param accuracy share of exact answers, 0 to 1
 * @param promptTokens tokens of all documents asked about, once a question
 * @param loadedTokens those of them whose KV was loaded
 * @param loads what was loaded, by tier and encoding
 * @param bytesLoadedByTier stored bytes read
 * @param answers tokens of each answer, by question
 */
record PhaseResult(
    String name,
    double ttftMillisMedian,
    double accuracy,
    long promptTokens,
    long loadedTokens,
    List<Loaded> loads,
    Map<String, Long> bytesLoadedByTier,
    List<int[]> answers) {

  /**
   * What was loaded from one tier in one encoding.
   *
   * @param tier name of the tier
   * @param codec name of the encoding
   * @param tokens tokens whose KV it was
   * @param storedBytes bytes read, as stored
   */
  record Loaded(String tier, String codec, long tokens, long storedBytes) {}

  /** Answers that differ from those of another pass over the same questions. */
  int differingFrom(PhaseResult other) {
    int differing = 0;
    for (int question = 0; question < answers.size(); question++) {
      differing += Arrays.equals(answers.get(question), other.answers.get(question)) ? 0 : 1;
    }
    return differing;
  }

  /** Gathers a pass while it runs. */
  static final class Builder {
    private final String name;
    private final int[][] answers;
    private final List<Long> ttftNanos = new ArrayList<>();
    private long promptTokens;
    private long loadedTokens;
    private int exact;

    Builder(String name, int questions) {
      this.name = name;
      this.answers = new int[questions][];
    }

    void add(int question, DemoTask.Asked asked, Answer answer) {
      answers[question] = answer.tokens();
      ttftNanos.add(answer.firstTokenNanos());
      promptTokens += asked.document().tokens().length;
      loadedTokens += answer.loadedTokens();
      exact += asked.question().isAnsweredBy(answer.tokens()) ? 1 : 0;
    }

    double medianMillis() {
      long[] sorted = ttftNanos.stream().mapToLong(Long::longValue).sorted().toArray();
      int middle = sorted.length / 2;
      double nanos = sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2.0;
      return nanos / 1e6;
    }

    PhaseResult build(List<CacheStats.Loads> chunkLoads, int chunkTokens) {
      List<Loaded> loads = chunkLoads.stream()
          .map(load -> new Loaded(load.tier(), load.codec(), load.chunks() * chunkTokens, load.storedBytes()))
          .toList();
      Map<String, Long> byTier = new LinkedHashMap<>();
      loads.forEach(load -> byTier.merge(load.tier(), load.storedBytes(), Long::sum));
      return new PhaseResult(name, medianMillis(), (double) exact / answers.length, promptTokens,
          loadedTokens,
          loads, byTier, List.of(answers));
    }
  }
}
