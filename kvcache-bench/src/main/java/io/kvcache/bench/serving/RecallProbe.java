package io.kvcache.bench.serving;

import io.kvcache.ChunkKey;
import io.kvcache.KeyChain;
import io.kvcache.KvLease;
import io.kvcache.KvLease.Run;
import io.kvcache.QualityProbe;
import io.kvcache.Tokens;
import io.kvcache.bench.EncodingNames;
import io.kvcache.bench.model.KvState;
import io.kvcache.bench.model.Transformer;
import io.kvcache.bench.quality.Answers;
import io.kvcache.bench.task.RecallQuestion;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.stream.Collectors;

/**
 * The engine's judgement of lossy KV: the share of the training questions of a document that are answered as from exact
 * KV, to the last token. An answer with one wrong token is a wrong one, to the user and where accuracy is reported.
 *
 * <p>Few questions flatter: of many encodings that answer all of three, most would fail the fourth. So the share is
 * that of a binomial whose prior is worth two questions and answers as many as tokens are kept, since what is asked
 * about lies somewhere.
 *
 * <p>What was measured is kept, by document and encoding, so that caches opened one after the other do not pay for it
 * again. Thread-safe.
 */
public final class RecallProbe implements QualityProbe {
  private static final double PRIOR_QUESTIONS = 2;

  private final CachedModel engine;
  private final Map<ChunkKey, Prefilled> documents = new HashMap<>();
  private final Map<ChunkKey, List<int[]>> references = new HashMap<>();
  private final Map<Trial, Double> measured = new HashMap<>();

  /** What was measured: a context, and how each part of it was encoded. */
  private record Trial(ChunkKey context, String encodings) {}

  /** A judge of these documents, which must stay open. */
  public RecallProbe(CachedModel engine, List<Prefilled> documents) {
    this.engine = engine;
    for (Prefilled document : documents) {
      KeyChain keys = KeyChain.of(engine.namespace(), Tokens.of(document.document().tokens()));
      if (keys.chunks() > 0) {
        this.documents.put(keys.key(keys.chunks() - 1), document);
      }
    }
  }

  /** Qualities measured, not counting those that were known. */
  public synchronized int measurements() {
    return measured.size();
  }

  @Override
  public synchronized OptionalDouble quality(ChunkKey context, KvLease exact, KvLease lossy) {
    Prefilled document = documents.get(context);
    if (document == null || document.training().isEmpty()) {
      return OptionalDouble.empty();
    }
    Trial trial = new Trial(context, lossy.runs().stream()
        .map(run -> run.firstToken() + "+" + run.tokens() + " " + run.codec())
        .collect(Collectors.joining(", ")));
    Double known = measured.get(trial);
    if (known == null) {
      known = measure(context, document, lossy);
      if (known.isNaN()) {
        return OptionalDouble.empty();
      }
      measured.put(trial, known);
    }
    return OptionalDouble.of(known);
  }

  private double measure(ChunkKey context, Prefilled document, KvLease lossy) {
    Transformer transformer = engine.transformer();
    int[] tokens = document.document().tokens();
    List<int[]> exactAnswers = references.computeIfAbsent(context, key -> answers(document));
    try (KvState state = engine.newState(tokens)) {
      List<Run> runs = lossy.runs();
      int wanted = runs.isEmpty() ? 0 : runs.getLast().firstToken() + runs.getLast().tokens();
      if (wanted == 0 || CachedModel.restore(lossy, state) < wanted) {
        return Double.NaN; // it was given up meanwhile, or bytes were lost
      }
      if (wanted < tokens.length) {
        transformer.prefill(state, Arrays.copyOfRange(tokens, wanted, tokens.length));
      }
      int same = 0;
      for (int i = 0; i < exactAnswers.size(); i++) {
        int[] answer = Answers.generate(transformer, state, document.training().get(i), exactAnswers.get(i));
        same += Arrays.equals(exactAnswers.get(i), answer) ? 1 : 0;
      }
      return (same + PRIOR_QUESTIONS * kept(runs)) / (exactAnswers.size() + PRIOR_QUESTIONS);
    }
  }

  /** The share of tokens that is kept. */
  private static double kept(List<Run> runs) {
    double kept = 0;
    int tokens = 0;
    for (Run run : runs) {
      kept += run.tokens() * EncodingNames.parse(run.codec()).retainedFraction();
      tokens += run.tokens();
    }
    return kept / tokens;
  }

  private List<int[]> answers(Prefilled document) {
    List<int[]> answers = new ArrayList<>();
    for (RecallQuestion question : document.training()) {
      answers.add(Answers.generate(engine.transformer(), document.state(), question, question.answer()));
    }
    return answers;
  }
}
