package io.kvcache.bench.placement;

import io.kvcache.AcquireOptions;
import io.kvcache.CacheStats;
import io.kvcache.CacheStats.Loads;
import io.kvcache.KvCache;
import io.kvcache.KvCacheBuilder;
import io.kvcache.Tokens;
import io.kvcache.bench.TemporaryDirectory;
import io.kvcache.bench.model.KvState;
import io.kvcache.bench.placement.Workload.Request;
import io.kvcache.bench.serving.CachedModel;
import io.kvcache.bench.serving.CachedModel.Completion;
import io.kvcache.bench.serving.Prefilled;
import io.kvcache.bench.serving.RecallProbe;
import io.kvcache.bench.serving.TwoTiers;
import io.kvcache.bench.serving.WorkingSet;
import io.kvcache.bench.task.RecallDocument;
import io.kvcache.compress.Compressors;
import io.kvcache.spi.Compressor;
import io.kvcache.tiers.DramTier;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.function.IntConsumer;
import java.util.function.Supplier;

/**
 * The same requests about the same documents, by one policy after the other.
 *
 * <p>A request loads what is cached, computes the rest and answers; what was missing is stored after the first token.
 * Before the next request the cache gets the time to finish what it does in the background and, where the policy rests
 * on qualities, to measure some: requests are rare enough for that.
 *
 * <p>What encodings do to each document is measured before the first policy that rests on it, and remembered, so that
 * all such policies know the same. Else the first of them would measure, as far as its pauses go, for all that follow.
 * Measuring is thus taken to cost nothing; only of a document that comes to be stored in several parts is more measured
 * in a policy's own pauses.
 */
public final class Comparison {
  /** What a pause between two requests leaves for measuring qualities. */
  private static final Duration PROFILE_BUDGET = Duration.ofSeconds(1);
  private static final Duration PROBE_TIMEOUT = Duration.ofSeconds(30);
  /** A document is decided about as a whole: the shipped model's are no longer than this. */
  private static final int SEGMENT_CHUNKS = 64;

  private final CachedModel engine;
  private final List<Prefilled> documents;
  private final Path directory;
  private final RecallProbe probe;
  private final Replies replies;
  private int measured;

  /**
   * Of these documents, which must stay open.
   *
   * @param directory where disk tiers lie while they are used; null for the system's temporary directory
   */
  public Comparison(CachedModel engine, List<Prefilled> documents, Path directory) {
    this(engine, documents, directory, new RecallProbe(engine, documents));
  }

  Comparison(CachedModel engine, List<Prefilled> documents, Path directory, RecallProbe probe) {
    this.engine = engine;
    this.documents = List.copyOf(documents);
    this.directory = directory;
    this.probe = probe;
    this.replies = new Replies(engine, documents);
  }

  /**
   * Measures what encodings do to each document, for all policies that rest on it; {@code done} is told of how many
   * documents it is known so far. Only the first call does anything.
   */
  public void measureQualities(IntConsumer done) {
    while (measured < documents.size()) {
      measureQualities(documents.get(measured));
      done.accept(++measured);
    }
  }

  /** In a cache of its own that has room for all of it, by a policy that would not give up any quality for that. */
  private void measureQualities(Prefilled document) {
    WorkingSet kv = WorkingSet.of(engine, List.of(document.document()));
    Setting roomy = Setting.ofShares(kv, 2, 1, Throttle.OFF);
    Background background = new Background();
    try (KvCache cache = prepared(background).tier(DramTier.open(roomy.dramBytes()))
        .policy(Policy.utility(Policy.MOST_ALPHA).placement().orElseThrow().get())
        .probe(probe, PROBE_TIMEOUT).open()) {
      engine.store(cache, document, Duration.ZERO);
      while (cache.control().profile(PROFILE_BUDGET).waitingSegments() > 0) {
        background.awaitIdle();
      }
    }
  }

  /** Bytes of KV the engine computes in a second. */
  public double prefillBytesPerSecond() {
    return replies.prefillBytesPerSecond();
  }

  /** What comes of a policy; {@code done} is told how many requests were served so far. */
  public PolicyResult run(Policy policy, Setting setting, Workload workload, Consumer<Integer> done)
      throws IOException {
    if (policy.placement().isEmpty()) {
      Pass pass = new Pass(null, null, policy, done);
      workload.measured().forEach(request -> pass.serve(request, true));
      return pass.result(0, Map.of(), List.of());
    }
    if (policy.profiles()) {
      measureQualities(document -> {});
    }
    try (TemporaryDirectory ssd = new TemporaryDirectory(directory, "kvcache-policy-")) {
      Background background = new Background();
      try (KvCache cache = open(policy, setting, ssd.path(), background)) {
        Pass pass = new Pass(cache, background, policy, done);
        workload.warmUp().forEach(request -> pass.serve(request, false));
        CacheStats before = cache.stats();
        workload.measured().forEach(request -> pass.serve(request, true));
        CacheStats interval = cache.stats().minus(before);
        return pass.result(interval.rejectedReservations(), hitShares(interval),
            policy.profiles() ? contexts(cache) : List.of());
      }
    }
  }

  private KvCache open(Policy policy, Setting setting, Path at, Background background) throws IOException {
    return TwoTiers.open(setting.dramBytes(), at, setting.ssdBytes(), (dram, ssd) -> {
      KvCacheBuilder builder = prepared(background)
          .tier(setting.throttle().dram(dram))
          .tier(setting.throttle().ssd(ssd))
          .policy(policy.placement().map(Supplier::get).orElseThrow());
      return (policy.profiles() ? builder.probe(probe, PROBE_TIMEOUT) : builder).open();
    });
  }

  private KvCacheBuilder prepared(Background background) {
    return KvCache.builder(engine.layout())
        .compressors(Compressors.standard().toArray(Compressor[]::new))
        .segmentChunks(SEGMENT_CHUNKS)
        .runtime(background.runtime());
  }

  private Map<String, Double> hitShares(CacheStats interval) {
    Map<String, Double> shares = new TreeMap<>();
    for (Loads load : interval.loads()) {
      double tokens = (double) load.chunks() * engine.layout().chunkTokens();
      shares.merge(load.tier(), tokens / interval.requestedTokens(), Double::sum);
    }
    return shares;
  }

  private List<PlacedContext> contexts(KvCache cache) {
    List<PlacedContext> contexts = new ArrayList<>();
    for (int number = 0; number < documents.size(); number++) {
      RecallDocument document = documents.get(number).document();
      contexts.addAll(PlacedContext.of(number, document.kind().name().toLowerCase(Locale.ROOT),
          engine.storableTokens(document.tokens()),
          cache.control().explain(engine.namespace(), Tokens.of(document.tokens())),
          engine.layout().tokenBytes()));
    }
    return contexts;
  }

  /** Requests served one after the other by one cache, or by none. */
  private final class Pass {
    private final KvCache cache;
    private final Background background;
    private final Policy policy;
    private final Consumer<Integer> done;
    private final List<Double> ttftMillis = new ArrayList<>();
    private int served;
    private int correct;

    Pass(KvCache cache, Background background, Policy policy, Consumer<Integer> done) {
      this.cache = cache;
      this.background = background;
      this.policy = policy;
      this.done = done;
    }

    void serve(Request request, boolean measured) {
      Prefilled document = documents.get(request.document());
      int[] tokens = document.document().tokens();
      try (KvState state = engine.newState(tokens)) {
        long start = System.nanoTime();
        int loaded =
            cache == null ? 0 : engine.load(cache, AcquireOptions.any().acceptingPruned(), tokens, state);
        long loadNanos = System.nanoTime() - start;
        if (measured) {
          Completion answer = replies.complete(request, state);
          ttftMillis.add((loadNanos + answer.firstTokenNanos()) / 1e6);
          correct += document.unseen().get(request.question()).isAnsweredBy(answer.tokens()) ? 1 : 0;
        }
        if (cache != null && loaded < engine.storableTokens(tokens)) {
          engine.store(cache, document, replies.prefillTime(request.document()));
        }
      }
      if (cache != null) {
        rest();
      }
      done.accept(++served);
    }

    private void rest() {
      background.awaitIdle();
      if (policy.profiles()) {
        cache.control().profile(PROFILE_BUDGET);
        background.awaitIdle();
      }
    }

    PolicyResult result(long rejected, Map<String, Double> hitShares, List<PlacedContext> contexts) {
      return new PolicyResult(policy.name(), ttftMillis.stream().mapToDouble(Double::doubleValue).toArray(),
          correct, rejected, hitShares, contexts);
    }
  }
}
