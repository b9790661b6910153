package io.kvcache.bench.quality;

import io.kvcache.DType;
import io.kvcache.Encoding;
import io.kvcache.bench.Interval;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;
import java.util.stream.Collectors;

/**
 * What was found of one model.
 *
 * @param model its name
 * @param dtype what its keys and values are kept as
 * @param prompts in the order of their numbers
 * @param outcomes of each prompt, by encoding
 * @param speeds by encoding
 */
record FidelityResult(String model, DType dtype, List<FidelityPrompt> prompts,
    List<Map<Encoding, FidelityOutcome>> outcomes, Map<Encoding, CodecSpeeds.Speed> speeds) {
  /**
   * One encoding over all prompts. Intervals are of means over prompts, since predictions behind one prompt are alike.
   *
   * @param bytesPerToken stored for each token of a full chunk
   * @param fractionOfRaw the same, as a share of what it was before
   * @param keys relative error
   * @param values relative error
   * @param attention relative error of what attention reads
   * @param kl mean divergence of a prediction, nats
   * @param top1 share of predictions whose most likely token is that of exact KV
   * @param accuracy share of questions answered exactly right; null when none were asked
   * @param accuracyByKind the same by kind of prompt; empty when none were asked
   */
  record Row(Encoding encoding, double bytesPerToken, double fractionOfRaw, CodecSpeeds.Speed speed,
      double keys,
      double values, double attention, Interval kl, Interval top1, Interval accuracy,
      Map<String, Double> accuracyByKind) {}

  /** In the order of the encodings. */
  List<Row> rows() {
    return outcomes.getFirst().keySet().stream().map(this::row).toList();
  }

  private Row row(Encoding encoding) {
    List<FidelityOutcome> all = outcomes.stream().map(each -> each.get(encoding)).toList();
    double stored = all.stream().mapToLong(FidelityOutcome::storedBytes).sum();
    double raw = all.stream().mapToLong(FidelityOutcome::rawBytes).sum();
    boolean asked = all.stream().anyMatch(each -> each.questions() > 0);
    return new Row(encoding, stored / raw * rawBytesPerToken(), stored / raw, speeds.get(encoding),
        error(all, FidelityOutcome::keys), error(all, FidelityOutcome::values),
        error(all, FidelityOutcome::attention),
        mean(all, each -> each.kl() / each.scored()).within(0, Double.MAX_VALUE),
        mean(all, each -> (double) each.same() / each.scored()).within(0, 1),
        asked ? mean(all, each -> (double) each.correct() / each.questions()).within(0, 1) : null,
        asked ? byKind(encoding) : Map.of());
  }

  /** What a token takes as it is. */
  double rawBytesPerToken() {
    long tokens = prompts.stream()
        .mapToLong(each -> each.tokens().length / FidelityRun.CHUNK_TOKENS * FidelityRun.CHUNK_TOKENS).sum();
    Encoding any = outcomes.getFirst().keySet().iterator().next();
    return outcomes.stream().mapToLong(each -> each.get(any).rawBytes()).sum() / (double) tokens;
  }

  double tokensPerPrompt() {
    return prompts.stream().mapToInt(each -> each.tokens().length).average().orElseThrow();
  }

  private Map<String, Double> byKind(Encoding encoding) {
    Map<String, int[]> counts = new LinkedHashMap<>();
    for (int number = 0; number < prompts.size(); number++) {
      FidelityOutcome outcome = outcomes.get(number).get(encoding);
      int[] count = counts.computeIfAbsent(prompts.get(number).kind(), any -> new int[2]);
      count[0] += outcome.correct();
      count[1] += outcome.questions();
    }
    return counts.entrySet().stream().collect(Collectors.toMap(Map.Entry::getKey,
        each -> (double) each.getValue()[0] / each.getValue()[1], (one, other) -> one, LinkedHashMap::new));
  }

  private static double error(List<FidelityOutcome> all,
      Function<FidelityOutcome, RelativeError> of) {
    RelativeError sum = new RelativeError();
    all.forEach(each -> sum.add(of.apply(each)));
    return sum.value();
  }

  private static Interval mean(List<FidelityOutcome> all, ToDoubleFunction<FidelityOutcome> of) {
    return Interval.ofMean(all.stream().mapToDouble(of).toArray());
  }
}
