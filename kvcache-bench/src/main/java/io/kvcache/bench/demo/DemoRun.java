package io.kvcache.bench.demo;

import io.kvcache.AcquireOptions;
import io.kvcache.CacheStats;
import io.kvcache.KvCache;
import io.kvcache.KvCache.Flushed;
import io.kvcache.KvLease;
import io.kvcache.KvLease.Run;
import io.kvcache.KvReservation.Status;
import io.kvcache.Tokens;
import io.kvcache.bench.Console;
import io.kvcache.bench.demo.DemoTask.Asked;
import io.kvcache.bench.serving.CachedModel;
import io.kvcache.bench.serving.CachedModel.Answer;
import io.kvcache.bench.serving.Prefilled;
import io.kvcache.bench.serving.TwoTiers;
import io.kvcache.bench.task.RecallDocument;
import io.kvcache.placement.LruPlacement;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Random;

/** The phases of the demo. */
final class DemoRun {
  /** What the disk tier needs besides the KV: its index, and room to reuse extents. */
  static final long SSD_OVERHEAD_BYTES = 128L << 20;

  private final CachedModel engine;
  private final DemoTask task;
  private final Capacities capacities;
  private final Path directory;
  private final DiskCodec codec;
  private final Console console;

  /**
   * How much there is room for.
   *
   * @param workingSetBytes KV of all full chunks
   * @param dramBytes capacity of the memory tier
   * @param ssdBytes capacity of the disk tier
   */
  record Capacities(long workingSetBytes, long dramBytes, long ssdBytes) {}

  /**
   * Where one run of a document's chunks was before the restart.
   *
   * @param document its number
   * @param kind what the document is like
   * @param tokens tokens of the run
   * @param method encoding
   * @param rate stored bytes, as a share of those of the KV
   * @param tier name of the tier
   */
  record Residence(int document, String kind, int tokens, String method, double rate, String tier) {}

  /** What happened before the restart. */
  record Before(PhaseResult cold, PhaseResult warm, List<Residence> residences) {}

  DemoRun(CachedModel engine, DemoTask task, Capacities capacities, Path directory, DiskCodec codec,
      Console console) {
    this.engine = engine;
    this.task = task;
    this.capacities = capacities;
    this.directory = directory;
    this.codec = codec;
    this.console = console;
  }

  Capacities capacities() {
    return capacities;
  }

  DiskCodec codec() {
    return codec;
  }

  private KvCache open() throws IOException {
    return TwoTiers.open(capacities.dramBytes, directory, capacities.ssdBytes,
        (dram, ssd) -> KvCache.builder(engine.layout())
            .tier(dram)
            .tier(ssd)
            .compressors(DiskCodec.compressors())
            .policy(LruPlacement.withCodecs(0, codec.number()))
            .open());
  }

  /** Cold, stored, warm. */
  Before beforeRestart() throws IOException {
    warmUp();
    PhaseResult cold = pass("cold", null, task.questions());
    try (KvCache cache = open()) {
      store(cache);
      List<Asked> shuffled = new ArrayList<>(task.questions());
      Collections.shuffle(shuffled, new Random(1));
      PhaseResult warm = pass("warm", cache, shuffled);
      List<Residence> residences = residences(cache);
      Flushed flushed = cache.flush();
      console.say("flushed: %d chunks on disk, %d found no room there%n", flushed.durableChunks(),
          flushed.volatileChunks());
      return new Before(cold, warm, residences);
    }
  }

  /** In a new process. */
  PhaseResult afterRestart() throws IOException {
    warmUp();
    try (KvCache cache = open()) {
      return pass("restarted", cache, task.questions());
    }
  }

  /** Answers a few questions for the just-in-time compiler, so that phases can be compared. */
  private void warmUp() {
    int questions = Math.min(6, task.questions().size());
    for (Asked asked : task.questions().subList(0, questions)) {
      console.say("\rwarming up");
      engine.answer(null, null, asked.document().tokens(), asked.question());
    }
  }

  private PhaseResult pass(String name, KvCache cache, List<Asked> questions) {
    PhaseResult.Builder result = new PhaseResult.Builder(name, questions.size());
    AcquireOptions options = codec.lossless() ? AcquireOptions.exact() : AcquireOptions.any();
    CacheStats before = cache == null ? null : cache.stats();
    int done = 0;
    for (Asked asked : questions) {
      Answer answer = engine.answer(cache, options, asked.document().tokens(), asked.question());
      result.add(asked.index(), asked, answer);
      console.say("\r%-10s %4d of %d questions, median time to first token %.1f ms", name, ++done,
          questions.size(),
          result.medianMillis());
    }
    console.say("%n");
    return result.build(cache == null ? List.of() : cache.stats().minus(before).loads(),
        engine.layout().chunkTokens());
  }

  private void store(KvCache cache) {
    int done = 0;
    for (RecallDocument document : task.documents()) {
      Status status;
      try (Prefilled prefilled = engine.prefill(document, 0)) {
        status = engine.store(cache, prefilled, Duration.ZERO);
      }
      console.say("\r%-10s %4d of %d documents (%s)   ", "storing", ++done, task.documents().size(),
          status.name().toLowerCase(Locale.ROOT));
    }
    console.say("%n");
  }

  private List<Residence> residences(KvCache cache) {
    List<Residence> residences = new ArrayList<>();
    long tokenBytes = engine.layout().tokenBytes();
    for (int number = 0; number < task.documents().size(); number++) {
      RecallDocument document = task.documents().get(number);
      try (KvLease lease =
          cache.acquire(engine.namespace(), Tokens.of(document.tokens()), AcquireOptions.any())) {
        for (Run run : lease.runs()) {
          residences.add(new Residence(number, document.kind().name().toLowerCase(Locale.ROOT), run.tokens(),
              run.codec(), (double) run.storedBytes() / (run.tokens() * tokenBytes), run.tier()));
        }
      }
    }
    return residences;
  }
}
