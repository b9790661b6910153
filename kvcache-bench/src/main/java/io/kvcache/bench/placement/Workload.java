package io.kvcache.bench.placement;

import io.kvcache.bench.serving.Prefilled;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;

/**
 * Who asks about what, in order. Documents are as popular as Zipf's law has it, in an order that has nothing to do with
 * their kind; each request asks one of a document's unseen questions.
 *
 * @param warmUp requests by which documents come to be stored; no figures are taken
 * @param measured requests that figures are taken of
 */
public record Workload(List<Request> warmUp, List<Request> measured) {
  /**
   * A question about a document.
   *
   * @param document index of the document
   * @param question index among its unseen questions
   */
  public record Request(int document, int question) {}

  /**
   * The workload of a seed, always the same.
   *
   * @param requests of each of the two passes
   * @param exponent of Zipf's law, at least 0
   * @param mostQuestions of each document that are asked at all
   */
  public static Workload generate(List<Prefilled> documents, int requests, double exponent, int mostQuestions,
      long seed) {
    Random random = new Random(seed);
    List<Integer> byRank = new ArrayList<>();
    double[] cumulative = new double[documents.size()];
    double sum = 0;
    for (int rank = 0; rank < cumulative.length; rank++) {
      byRank.add(rank);
      sum += Math.pow(rank + 1, -exponent);
      cumulative[rank] = sum;
    }
    Collections.shuffle(byRank, random);
    List<Request> all = new ArrayList<>();
    for (int i = 0; i < 2 * requests; i++) {
      int at = Arrays.binarySearch(cumulative, random.nextDouble() * sum);
      int document = byRank.get(Math.min(at < 0 ? -at - 1 : at, cumulative.length - 1));
      int questions = Math.min(mostQuestions, documents.get(document).unseen().size());
      all.add(new Request(document, random.nextInt(questions)));
    }
    return new Workload(List.copyOf(all.subList(0, requests)),
        List.copyOf(all.subList(requests, 2 * requests)));
  }
}
