package io.kvcache.bench.quality;

import io.kvcache.DropMethod;
import io.kvcache.KvLayout;
import io.kvcache.TokenScores;
import io.kvcache.bench.model.KvState;
import io.kvcache.bench.model.ModelWeights;
import io.kvcache.bench.model.PrunedLayer;
import io.kvcache.bench.model.Transformer;
import io.kvcache.bench.serving.CachedModel;
import io.kvcache.bench.task.RecallDocument;
import io.kvcache.bench.task.RecallQuestion;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Asks questions about a document of whose KV equally many entries were kept in each form. One thread. */
final class FormRun implements AutoCloseable {
  /** All that tell tokens apart by more than their position, and by something that helps this model. */
  static final List<DropMethod> METHODS = List.of(DropMethod.KVZIP, DropMethod.H2O,
      DropMethod.EXPECTED_ATTENTION, DropMethod.SNAPKV, DropMethod.KEYDIFF);
  static final List<Integer> PERCENTS = List.of(70, 50, 30);

  private final Transformer transformer;
  private final KvLayout layout;

  FormRun(ModelWeights weights) {
    transformer = new Transformer(weights, 1);
    layout = CachedModel.layoutOf(transformer.config());
  }

  /** What is kept, and how it is divided. */
  record Choice(DropMethod method, int percent, DroppingForm form) {}

  /**
   * The answers about one document.
   *
   * @param questions asked
   * @param kept answers of exact KV that came out, token by token
   * @param divergence sum over the questions of the mean, over the tokens of the answer from exact KV, of the
   *     Kullback-Leibler divergence from exact KV's distribution of the next token, in nats
   */
  record Outcome(int questions, int kept, double divergence) {}

  /** What was asked, and what exact KV answers. */
  private record Reference(RecallQuestion question, int[] answer, float[][] logits) {}

  Map<Choice, Outcome> run(RecallDocument document, int mostQuestions) {
    List<RecallQuestion> questions =
        document.questions().subList(0, Math.min(mostQuestions, document.questions().size()));
    int longest = questions.stream().mapToInt(question -> question.tokens().length).max().orElseThrow();
    int capacity = document.tokens().length + longest + RecallQuestion.MAX_ANSWER_TOKENS;
    Map<Choice, Outcome> outcomes = new LinkedHashMap<>();
    try (KvState exact = transformer.newState(capacity)) {
      TokenScores given = EngineScores.prefill(transformer, exact, document.tokens());
      List<Reference> references = new ArrayList<>();
      for (RecallQuestion question : questions) {
        int[] answer = Answers.generate(transformer, exact, question, question.answer());
        references.add(new Reference(question, answer, logits(exact, question, answer)));
      }
      LossyKv lossy = new LossyKv(layout, exact, given);
      for (DropMethod method : METHODS) {
        float[][][] scores = lossy.rank(method);
        for (int percent : PERCENTS) {
          for (DroppingForm form : DroppingForm.values()) {
            int[][][] positions = form.positions(layout, scores, method, percent);
            outcomes.put(new Choice(method, percent, form),
                ask(exact, lossy.tokens(), positions, references));
          }
        }
      }
    }
    return outcomes;
  }

  private Outcome ask(KvState exact, int tokens, int[][][] positions, List<Reference> references) {
    try (KvState state = transformer.newState(exact.capacity())) {
      List<PrunedLayer> layers = new ArrayList<>();
      for (int layer = 0; layer < positions.length; layer++) {
        layers.add(pruned(exact, layer, positions[layer]));
      }
      SensitivityRun.restore(state, exact, tokens, layers);
      int kept = 0;
      double divergence = 0;
      for (Reference reference : references) {
        float[][] logits = logits(state, reference.question, reference.answer);
        boolean same = true;
        for (int i = 0; i < logits.length; i++) {
          divergence += divergence(reference.logits[i], logits[i]) / logits.length;
          same &= Transformer.argmax(logits[i]) == reference.answer[i];
        }
        kept += same ? 1 : 0;
      }
      return new Outcome(references.size(), kept, divergence);
    }
  }

  /** Those before each token of an answer; the state is afterwards as it was. */
  private float[][] logits(KvState state, RecallQuestion question, int[] answer) {
    int document = state.length();
    int asked = question.tokens().length;
    int[] run = Arrays.copyOf(question.tokens(), asked + answer.length - 1);
    System.arraycopy(answer, 0, run, asked, answer.length - 1);
    float[][] logits = transformer.verify(state, run);
    state.truncate(document);
    return Arrays.copyOfRange(logits, asked - 1, logits.length);
  }

  private static PrunedLayer pruned(KvState exact, int layer, int[][] positions) {
    int headBytes = exact.rowBytes() / positions.length;
    int rows = Arrays.stream(positions).mapToInt(head -> head.length).sum();
    MemorySegment keys = MemorySegment.ofArray(new byte[rows * headBytes]);
    MemorySegment values = MemorySegment.ofArray(new byte[rows * headBytes]);
    long to = 0;
    for (int head = 0; head < positions.length; head++) {
      for (int position : positions[head]) {
        long from = (long) position * exact.rowBytes() + (long) head * headBytes;
        MemorySegment.copy(exact.keys(layer), from, keys, to, headBytes);
        MemorySegment.copy(exact.values(layer), from, values, to, headBytes);
        to += headBytes;
      }
    }
    return new PrunedLayer(positions, keys, values);
  }

  /** Of {@code other} from {@code exact}, both logits, in nats. */
  static double divergence(float[] exact, float[] other) {
    double exactSum = logSum(exact);
    double otherSum = logSum(other);
    double sum = 0;
    for (int token = 0; token < exact.length; token++) {
      double p = exact[token] - exactSum;
      sum += Math.exp(p) * (p - (other[token] - otherSum));
    }
    return sum;
  }

  private static double logSum(float[] logits) {
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
