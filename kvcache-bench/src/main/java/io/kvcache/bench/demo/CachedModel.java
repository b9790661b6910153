package io.kvcache.bench.demo;

import io.kvcache.AcquireOptions;
import io.kvcache.DType;
import io.kvcache.KvCache;
import io.kvcache.KvLayout;
import io.kvcache.KvLease;
import io.kvcache.KvReservation;
import io.kvcache.KvReservation.Status;
import io.kvcache.Namespace;
import io.kvcache.StoreOptions;
import io.kvcache.Tokens;
import io.kvcache.bench.model.KvState;
import io.kvcache.bench.model.ModelConfig;
import io.kvcache.bench.model.ModelWeights;
import io.kvcache.bench.model.Transformer;
import io.kvcache.bench.task.RecallQuestion;
import io.kvcache.bench.task.Vocabulary;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.Arrays;

/**
 * The bench's engine with a cache plugged in, as any engine would do it: lease the prefix, copy its KV layer by layer
 * into the engine's own memory, compute the rest, store what was computed.
 */
final class CachedModel implements AutoCloseable {
  /** Small, because the documents are: what lies behind the last full chunk has to be computed again. */
  private static final int CHUNK_TOKENS = 64;
  private static final Duration WAIT_FOR_ROOM = Duration.ofSeconds(10);

  private final Transformer transformer;
  private final KvLayout layout;
  private final Namespace namespace;

  /** The model of these weights; {@code name} stands for them and their revision. */
  CachedModel(ModelWeights weights, String name) {
    transformer = new Transformer(weights);
    ModelConfig config = transformer.config();
    layout = KvLayout.uniform(config.layers(), config.kvHeads(), config.headDim(), DType.BF16)
        .withChunkTokens(CHUNK_TOKENS);
    namespace = Namespace.of(name, layout).withEngine("kvcache-bench");
  }

  KvLayout layout() {
    return layout;
  }

  Namespace namespace() {
    return namespace;
  }

  /** Most tokens of a prompt and its answer together. */
  int context() {
    return transformer.config().context();
  }

  /**
   * An answer, and what it took.
   *
   * @param tokens generated greedily, with the end token when there is one
   * @param firstTokenNanos from the question to the first token
   * @param loadedTokens tokens whose KV came from the cache
   */
  record Answer(int[] tokens, long firstTokenNanos, int loadedTokens) {}

  /** Answers a question about a document; with {@code cache} null everything is computed. */
  Answer answer(KvCache cache, AcquireOptions options, int[] document, RecallQuestion question) {
    int[] prompt = concat(document, question.tokens());
    try (KvState state = transformer.newState(prompt.length + RecallQuestion.MAX_ANSWER_TOKENS)) {
      long start = System.nanoTime();
      int loaded = cache == null ? 0 : load(cache, options, document, state);
      float[] logits = transformer.prefill(state, Arrays.copyOfRange(prompt, loaded, prompt.length));
      long firstToken = System.nanoTime() - start;
      int[] answer = transformer.generate(state, logits, RecallQuestion.MAX_ANSWER_TOKENS, Vocabulary.END);
      boolean ended = answer.length < RecallQuestion.MAX_ANSWER_TOKENS;
      return new Answer(ended ? concat(answer, new int[] {Vocabulary.END}) : answer, firstToken, loaded);
    }
  }

  private int load(KvCache cache, AcquireOptions options, int[] document, KvState state) {
    try (KvLease lease = cache.acquire(namespace, Tokens.of(document), options)) {
      int usable = lease.tokens();
      for (int layer = 0; layer < layout.layers().size() && usable > 0; layer++) {
        usable = lease.read(layer, state.keys(layer), state.values(layer));
      }
      state.restored(usable);
      return usable;
    }
  }

  /** Computes a document's KV and stores it, waiting for room; returns what became of it. */
  Status store(KvCache cache, int[] document) {
    try (KvState state = transformer.newState(document.length)) {
      long start = System.nanoTime();
      transformer.prefill(state, document);
      StoreOptions options = StoreOptions.defaults()
          .waitForRoom(WAIT_FOR_ROOM)
          .prefillTime(Duration.ofNanos(System.nanoTime() - start));
      try (KvReservation reservation = cache.reserve(namespace, Tokens.of(document), options)) {
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
