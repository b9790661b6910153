package io.kvcache.bench.quality;

import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.KvLayout;
import io.kvcache.TokenScores;
import io.kvcache.bench.model.KvState;
import io.kvcache.bench.model.ModelWeights;
import io.kvcache.bench.model.PrunedLayer;
import io.kvcache.bench.model.Transformer;
import io.kvcache.bench.quality.ContextOutcome.Outcome;
import io.kvcache.bench.serving.CachedModel;
import io.kvcache.bench.task.RecallDocument;
import io.kvcache.bench.task.RecallQuestion;
import io.kvcache.compress.Compressors;
import io.kvcache.internal.quality.AttentionFidelity;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Asks questions about documents whose KV went through each encoding. One thread. */
final class SensitivityRun implements AutoCloseable {
  private static final Encoding INT8 = Encoding.of(Compressors.int8().codec());
  private static final Encoding INT4 = Encoding.of(Compressors.int4().codec());
  private static final int[] PERCENTS = {90, 80, 70, 50, 30, 20, 10};
  private static final int[] PERCENTS_QUANTIZED = {70, 50, 30};

  private final Transformer transformer;
  private final KvLayout layout;

  SensitivityRun(ModelWeights weights) {
    transformer = new Transformer(weights, 1);
    layout = CachedModel.layoutOf(transformer.config());
  }

  /** What is compared, in the order of reports. */
  static List<Encoding> encodings() {
    List<Encoding> encodings = new ArrayList<>(List.of(Encoding.RAW, INT8, INT4));
    for (int percent : PERCENTS) {
      addMethods(encodings, Encoding.RAW, percent);
    }
    for (Encoding quantized : List.of(INT8, INT4)) {
      for (int percent : PERCENTS_QUANTIZED) {
        addMethods(encodings, quantized, percent);
      }
    }
    return encodings;
  }

  private static void addMethods(List<Encoding> encodings, Encoding base, int percent) {
    for (DropMethod method : DropMethod.values()) {
      if (method != DropMethod.NONE) {
        encodings.add(base.keeping(method, percent));
      }
    }
  }

  /** Asks the first questions about a document, by every encoding. */
  ContextOutcome run(RecallDocument document, int number, int mostQuestions) {
    List<RecallQuestion> questions =
        document.questions().subList(0, Math.min(mostQuestions, document.questions().size()));
    int longest = questions.stream().mapToInt(question -> question.tokens().length).max().orElseThrow();
    int tokens = document.tokens().length;
    int capacity = tokens + longest + RecallQuestion.MAX_ANSWER_TOKENS;
    Map<Encoding, Outcome> outcomes = new LinkedHashMap<>();
    try (KvState exact = transformer.newState(capacity)) {
      TokenScores scores = EngineScores.prefill(transformer, exact, document.tokens());
      List<int[]> references = questions.stream()
          .map(question -> Answers.generate(transformer, exact, question, question.answer())).toList();
      LossyKv lossy = new LossyKv(layout, exact, scores);
      AttentionFidelity fidelity = new AttentionFidelity(layout, lossy);
      for (Encoding encoding : encodings()) {
        LossyKv.Decoded decoded = lossy.decoded(encoding);
        long start = System.nanoTime();
        double estimate = fidelity.estimate(decoded);
        long estimateNanos = System.nanoTime() - start;
        try (KvState state = transformer.newState(capacity)) {
          restore(state, exact, lossy.tokens(), decoded.layers());
          outcomes.put(encoding, ask(state, questions, references, estimate, estimateNanos));
        }
      }
    }
    return new ContextOutcome(document.kind(), number, tokens, outcomes);
  }

  /** Fills a state with encoded chunks, and behind them the exact rows of the last tokens, which are never stored. */
  static void restore(KvState state, KvState exact, int encodedTokens, List<PrunedLayer> encoded) {
    state.appendPruned(encodedTokens, encoded);
    long from = (long) encodedTokens * exact.rowBytes();
    long bytes = (long) (exact.length() - encodedTokens) * exact.rowBytes();
    for (int layer = 0; layer < encoded.size(); layer++) {
      MemorySegment.copy(exact.keys(layer), from, state.keys(layer), from, bytes);
      MemorySegment.copy(exact.values(layer), from, state.values(layer), from, bytes);
    }
    state.restored(exact.length());
  }

  private Outcome ask(KvState state, List<RecallQuestion> questions, List<int[]> references, double estimate,
      long estimateNanos) {
    int correct = 0;
    double quality = 0;
    for (int i = 0; i < questions.size(); i++) {
      int[] answer = Answers.generate(transformer, state, questions.get(i), references.get(i));
      correct += questions.get(i).isAnsweredBy(answer) ? 1 : 0;
      quality += Answers.agreement(references.get(i), answer);
    }
    return new Outcome(questions.size(), correct, quality / questions.size(), estimate, estimateNanos);
  }

  @Override
  public void close() {
    transformer.close();
  }
}
