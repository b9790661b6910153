package io.kvcache.bench.quality;

import io.kvcache.DType;
import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.KvHalf;
import io.kvcache.KvLayout;
import io.kvcache.TokenScores;
import io.kvcache.bench.model.AttentionProbe;
import io.kvcache.bench.model.AttentionScores;
import io.kvcache.bench.model.KvState;
import io.kvcache.bench.model.ModelConfig;
import io.kvcache.bench.model.ModelWeights;
import io.kvcache.bench.model.PrefillNotes;
import io.kvcache.bench.model.PromptQueries;
import io.kvcache.bench.model.Transformer;
import io.kvcache.bench.quality.FidelityPrompt.Continuation;
import io.kvcache.bench.serving.CachedModel;
import io.kvcache.compress.Compressors;
import io.kvcache.spi.Compressor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * Replaces the KV of a prompt's full chunks once by what comes back of each encoding, and compares what the model then
 * predicts of the true continuation with what it predicts from exact KV. What lies behind the last full chunk stays
 * exact, as it does in use. One thread.
 */
final class FidelityRun implements AutoCloseable {
  static final int[] PERCENTS = {90, 70, 50, 30, 10};
  private static final int UNIFORM_PERCENT = 50;

  static final int CHUNK_TOKENS = CachedModel.CHUNK_TOKENS;

  /** Tokens that SnapKV goes by, of prompts as short as these. */
  private static final int WINDOW = 16;

  /** Tokens of a continuation that attention is compared at. */
  private static final int PROBED = 16;

  private final Transformer transformer;
  private final KvLayout layout;
  private final List<Compressor> codecs;

  /**
   * A run of a model.
   *
   * @param dtype what keys and values are kept as, BF16 or F16
   * @param codecs those there are
   */
  FidelityRun(ModelWeights weights, DType dtype, List<Compressor> codecs) {
    transformer = new Transformer(weights, 1, dtype);
    layout = layoutOf(weights.config(), dtype);
    this.codecs = codecs;
  }

  /** That of the KV of a model of this shape. */
  static KvLayout layoutOf(ModelConfig config, DType dtype) {
    return KvLayout.uniform(config.layers(), config.kvHeads(), config.headDim(), dtype)
        .withChunkTokens(CHUNK_TOKENS);
  }

  /**
   * Every codec; every way to drop tokens at every rate, alone and with int4 on top; and, at one rate, with the same
   * tokens kept everywhere. In the order of reports.
   */
  static List<Encoding> encodings() {
    List<Encoding> encodings = new ArrayList<>(List.of(Encoding.RAW));
    Compressors.all().forEach(codec -> encodings.add(Encoding.of(codec.codec())));
    for (Encoding base : List.of(Encoding.RAW, Encoding.of(Compressors.int4().codec()))) {
      for (DropMethod method : DropMethod.values()) {
        if (method != DropMethod.NONE) {
          Arrays.stream(PERCENTS).forEach(percent -> encodings.add(base.keeping(method, percent)));
        }
      }
    }
    for (DropMethod method : DropMethod.values()) {
      if (method != DropMethod.NONE) {
        encodings.add(Encoding.RAW.keepingUniformly(method, UNIFORM_PERCENT));
      }
    }
    return encodings;
  }

  /** Tries encodings on a prompt; the outcomes are in their order. */
  Map<Encoding, FidelityOutcome> run(FidelityPrompt prompt, List<Encoding> encodings) {
    int tokens = prompt.tokens().length;
    int longest =
        prompt.continuations().stream().mapToInt(each -> each.tokens().length).max().orElseThrow();
    int capacity = tokens + longest;
    Map<Encoding, FidelityOutcome> outcomes = new LinkedHashMap<>();
    try (KvState exact = transformer.newState(capacity)) {
      TokenScores scores = EngineScores.prefill(transformer, exact, prompt.tokens());
      exact.truncate(0);
      AttentionScores window = AttentionScores.ofQueriesFrom(tokens - WINDOW);
      PromptQueries queries = new PromptQueries();
      transformer.prefill(exact, new PrefillNotes(List.of(window), queries), prompt.tokens());
      scores = scores.snapKv(window.mass(), WINDOW);
      AttentionProbe probe = probe(exact, queries, prompt.continuations().getFirst());
      float[][] read = probe.outputs(exact);
      List<float[][]> predicted =
          prompt.continuations().stream().map(each -> predictions(exact, each)).toList();
      LossyKv lossy = new LossyKv(layout, exact, scores, codecs);
      for (Encoding encoding : encodings) {
        LossyKv.Decoded decoded = lossy.decoded(encoding);
        try (KvState state = transformer.newState(capacity)) {
          SensitivityRun.restore(state, exact, lossy.tokens(), decoded.layers());
          RelativeError attention = new RelativeError();
          float[][] readNow = probe.outputs(state);
          for (int layer = 0; layer < read.length; layer++) {
            attention.add(read[layer], readNow[layer]);
          }
          outcomes.put(encoding, compared(state, prompt, predicted, decoded, attention, lossy.tokens()));
        }
      }
    }
    return outcomes;
  }

  /** The state and the queries are afterwards those of the prompt alone. */
  private AttentionProbe probe(KvState exact, PromptQueries queries, Continuation continuation) {
    int tokens = exact.length();
    int count = Math.min(PROBED, continuation.tokens().length);
    transformer.prefill(exact, new PrefillNotes(List.of(), queries),
        Arrays.copyOf(continuation.tokens(), count));
    AttentionProbe probe = new AttentionProbe(exact, queries, tokens);
    exact.truncate(tokens);
    return probe;
  }

  /** What is predicted behind the scored tokens, as logits; the state is afterwards as it was. */
  private float[][] predictions(KvState state, Continuation continuation) {
    int before = state.length();
    float[][] logits = transformer.verify(state, continuation.tokens());
    state.truncate(before);
    return Arrays.copyOfRange(logits, logits.length - continuation.scored(), logits.length);
  }

  private FidelityOutcome compared(KvState state, FidelityPrompt prompt, List<float[][]> exact,
      LossyKv.Decoded decoded, RelativeError attention, int encodedTokens) {
    int scored = 0;
    double kl = 0;
    int same = 0;
    int questions = 0;
    int correct = 0;
    for (int i = 0; i < exact.size(); i++) {
      Continuation continuation = prompt.continuations().get(i);
      float[][] now = predictions(state, continuation);
      int[] next = Stream.of(now).mapToInt(Transformer::argmax).toArray();
      for (int at = 0; at < now.length; at++) {
        kl += divergence(exact.get(i)[at], now[at]);
        same += next[at] == Transformer.argmax(exact.get(i)[at]) ? 1 : 0;
      }
      scored += now.length;
      questions += continuation.answer().length > 0 ? 1 : 0;
      correct += continuation.answer().length > 0 && Arrays.equals(next, continuation.answer()) ? 1 : 0;
    }
    return new FidelityOutcome(decoded.storedBytes(), rawBytes(encodedTokens), decoded.error(KvHalf.KEYS),
        decoded.error(KvHalf.VALUES), attention, scored, kl, same, questions, correct);
  }

  private long rawBytes(int tokens) {
    return layout.chunkBytes() / layout.chunkTokens() * tokens;
  }

  /** Of the distribution of these logits from that of the exact ones. */
  static double divergence(float[] exact, float[] logits) {
    double logOfExact = logOfSum(exact);
    double logOfOther = logOfSum(logits);
    double divergence = 0;
    for (int token = 0; token < exact.length; token++) {
      double logarithm = exact[token] - logOfExact;
      divergence += Math.exp(logarithm) * (logarithm - (logits[token] - logOfOther));
    }
    return Math.max(0, divergence);
  }

  private static double logOfSum(float[] logits) {
    double max = logits[Transformer.argmax(logits)];
    double sum = 0;
    for (float logit : logits) {
      sum += Math.exp(logit - max);
    }
    return max + Math.log(sum);
  }

  @Override
  public void close() {
    transformer.close();
  }
}
