package io.kvcache.bench.serving;

import io.kvcache.AcquireOptions;
import io.kvcache.DType;
import io.kvcache.Fidelity;
import io.kvcache.KvCache;
import io.kvcache.KvLayout;
import io.kvcache.KvLease;
import io.kvcache.KvLease.KvKept;
import io.kvcache.KvLease.Run;
import io.kvcache.KvReservation;
import io.kvcache.KvReservation.Status;
import io.kvcache.Namespace;
import io.kvcache.StoreOptions;
import io.kvcache.TokenScores;
import io.kvcache.Tokens;
import io.kvcache.bench.model.KvState;
import io.kvcache.bench.model.ModelConfig;
import io.kvcache.bench.model.ModelWeights;
import io.kvcache.bench.model.PrunedLayer;
import io.kvcache.bench.model.Transformer;
import io.kvcache.bench.quality.EngineScores;
import io.kvcache.bench.task.RecallDocument;
import io.kvcache.bench.task.RecallQuestion;
import io.kvcache.bench.task.Vocabulary;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The bench's engine with a cache plugged in, as any engine would do it: lease the prefix, copy its KV layer by layer
 * into the engine's own memory, compute the rest, store what was computed.
 */
public final class CachedModel implements AutoCloseable {
  /** Small, because the documents are: what lies behind the last full chunk has to be computed again. */
  public static final int CHUNK_TOKENS = 64;

  private static final Duration WAIT_FOR_ROOM = Duration.ofSeconds(5);
  /** More than any question has, and its answer. */
  static final int ROOM_FOR_QUESTION = 64;

  private final Transformer transformer;
  private final KvLayout layout;
  private final Namespace namespace;

  /** The model of these weights; {@code name} stands for them and their revision. */
  public CachedModel(ModelWeights weights, String name) {
    this(weights, name, CHUNK_TOKENS);
  }

  /** The same with chunks of another size. */
  public CachedModel(ModelWeights weights, String name, int chunkTokens) {
    transformer = new Transformer(weights);
    layout = layoutOf(transformer.config()).withChunkTokens(chunkTokens);
    namespace = Namespace.of(name, layout).withEngine("kvcache-bench");
  }

  /** That of the KV of a model of this shape, in chunks of {@value #CHUNK_TOKENS} tokens. */
  public static KvLayout layoutOf(ModelConfig config) {
    return KvLayout.uniform(config.layers(), config.kvHeads(), config.headDim(), DType.BF16)
        .withChunkTokens(CHUNK_TOKENS);
  }

  /** That of its KV. */
  public KvLayout layout() {
    return layout;
  }

  /** What its KV is stored under. */
  public Namespace namespace() {
    return namespace;
  }

  /** Tokens of all full chunks of a document. */
  public int storableTokens(int[] document) {
    return document.length / layout.chunkTokens() * layout.chunkTokens();
  }

  Transformer transformer() {
    return transformer;
  }

  /**
   * An answer, and what it took.
   *
   * @param tokens generated greedily, with the end token when there is one
   * @param firstTokenNanos from the question to the first token
   * @param loadedTokens tokens whose KV came from the cache
   */
  public record Answer(int[] tokens, long firstTokenNanos, int loadedTokens) {}

  /** Answers a question about a document; with {@code cache} null everything is computed. */
  public Answer answer(KvCache cache, AcquireOptions options, int[] document, RecallQuestion question) {
    try (KvState state = newState(document)) {
      long start = System.nanoTime();
      int loaded = cache == null ? 0 : load(cache, options, document, state);
      long loadNanos = System.nanoTime() - start;
      Completion completion = complete(state, document, question);
      return new Answer(completion.tokens(), loadNanos + completion.firstTokenNanos(), loaded);
    }
  }

  /** An empty state with room for a document, a question and its answer. */
  public KvState newState(int... document) {
    return transformer.newState(document.length + ROOM_FOR_QUESTION);
  }

  /**
   * An answer from what a state held.
   *
   * @param tokens generated greedily, with the end token when there is one
   * @param firstTokenNanos to compute what was missing, up to the first token
   */
  public record Completion(int[] tokens, long firstTokenNanos) {}

  /** Computes what a state lacks of a document and a question, and answers it. */
  public Completion complete(KvState state, int[] document, RecallQuestion question) {
    int[] prompt = concat(document, question.tokens());
    long start = System.nanoTime();
    float[] logits = transformer.prefill(state, Arrays.copyOfRange(prompt, state.length(), prompt.length));
    long firstToken = System.nanoTime() - start;
    int[] answer = transformer.generate(state, logits, RecallQuestion.MAX_ANSWER_TOKENS, Vocabulary.END);
    boolean ended = answer.length < RecallQuestion.MAX_ANSWER_TOKENS;
    return new Completion(ended ? concat(answer, new int[] {Vocabulary.END}) : answer, firstToken);
  }

  /** Fills an empty state with the longest prefix of a document that is cached; returns its tokens. */
  public int load(KvCache cache, AcquireOptions options, int[] document, KvState state) {
    try (KvLease lease = cache.acquire(namespace, Tokens.of(document), options)) {
      return restore(lease, state);
    }
  }

  /** Copies what is leased into an empty state: all layers are read before anything is appended, as a lease shrinks. */
  static int restore(KvLease lease, KvState state) {
    List<Run> runs = lease.tokens() == 0 ? List.of() : lease.runs();
    List<List<KvKept>> kept = new ArrayList<>();
    runs.forEach(run -> kept.add(new ArrayList<>()));
    int usable = lease.tokens();
    for (int layer = 0; layer < state.config().layers() && usable > 0; layer++) {
      usable = Math.min(usable, lease.read(layer, state.keys(layer), state.values(layer)));
      for (int i = 0; i < runs.size(); i++) {
        if (pruned(runs.get(i)) && runs.get(i).firstToken() < usable) {
          KvKept rows = lease.kept(runs.get(i), layer);
          kept.get(i).add(rows);
          usable = Math.min(usable, rows.tokens() < runs.get(i).tokens() ? runs.get(i).firstToken() : usable);
        }
      }
    }
    for (int i = 0; i < runs.size(); i++) {
      Run run = runs.get(i);
      int end = Math.min(usable, run.firstToken() + run.tokens());
      if (run.firstToken() >= usable || (pruned(run) && end < run.firstToken() + run.tokens())) {
        break; // of a run with tokens dropped, all or nothing is taken
      }
      if (pruned(run)) {
        state.appendPruned(end, kept.get(i).stream()
            .map(rows -> new PrunedLayer(rows.positions(), rows.keys(), rows.values())).toList());
      } else {
        state.restored(end);
      }
    }
    return state.length();
  }

  private static boolean pruned(Run run) {
    return run.fidelity() instanceof Fidelity.Pruned;
  }

  /**
   * Reads a document, as to store it.
   *
   * @param mostTraining questions set aside to measure quality by, where there are as many and one more
   */
  public Prefilled prefill(RecallDocument document, int mostTraining) {
    KvState state = newState(document.tokens());
    try {
      TokenScores scores = EngineScores.readOnce(transformer, state, document.tokens());
      return Prefilled.of(document, state, scores, mostTraining);
    } catch (RuntimeException | Error e) {
      state.close();
      throw e;
    }
  }

  /**
   * Stores a document's KV, waiting for room; returns what became of it.
   *
   * @param prefillTime how long computing it takes an engine that notes no scores; zero when not known
   */
  public Status store(KvCache cache, Prefilled document, Duration prefillTime) {
    KvState state = document.state();
    StoreOptions options = StoreOptions.defaults().waitForRoom(WAIT_FOR_ROOM).prefillTime(prefillTime)
        .scores(document.scores());
    try (KvReservation reservation =
        cache.reserve(namespace, Tokens.of(document.document().tokens()), options)) {
      if (reservation.status() == Status.RESERVED) {
        long from = (long) reservation.firstToken() * state.rowBytes();
        long bytes = (long) reservation.tokens() * state.rowBytes();
        for (int layer = 0; layer < layout.layers().size(); layer++) {
          MemorySegment keys = state.keys(layer).asSlice(from, bytes);
          reservation.write(layer, keys, state.values(layer).asSlice(from, bytes));
        }
        reservation.commit();
      }
      return reservation.status();
    }
  }

  private static int[] concat(int[] head, int[] tail) {
    int[] all = Arrays.copyOf(head, head.length + tail.length);
    System.arraycopy(tail, 0, all, head.length, tail.length);
    return all;
  }

  @Override
  public void close() {
    transformer.close();
  }
}
