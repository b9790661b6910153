package io.kvcache.bench;

import io.kvcache.AcquireOptions;
import io.kvcache.DType;
import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.KvCache;
import io.kvcache.KvLayout;
import io.kvcache.KvLease;
import io.kvcache.KvReservation;
import io.kvcache.Namespace;
import io.kvcache.NamespaceLimits;
import io.kvcache.QualityProbe;
import io.kvcache.StoreOptions;
import io.kvcache.Tokens;
import io.kvcache.compress.Compressors;
import io.kvcache.placement.LruPlacement;
import io.kvcache.placement.UtilityPlacement;
import io.kvcache.tiers.DramTier;
import io.kvcache.tiers.SsdTier;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;

/** The example of README.md, where a test finds it again word for word. */
final class ReadmeExample {
  /** Stands for an inference engine. */
  interface Engine {
    MemorySegment keys(int layer, long offset, long bytes);

    MemorySegment values(int layer, long offset, long bytes);

    void prefill(int[] prompt, int from);
  }

  private ReadmeExample() {}

  static KvCache limited(KvLayout layout) {
    return KvCache.builder(layout)
        .tier(DramTier.open(8L << 30))
        .limits(namespace -> NamespaceLimits.none()
            .timeToLive(Duration.ofHours(1)) // unless StoreOptions.timeToLive says otherwise
            .quotaBytes(1L << 30)) // in each tier; a namespace makes room by what is its own
        .open();
  }

  static KvCache deciding(KvLayout layout, Path directory, QualityProbe probe) throws IOException {
    Encoding int4 = Encoding.of(Compressors.int4().codec());
    return KvCache.builder(layout)
        .tier(DramTier.open(8L << 30))
        .tier(SsdTier.builder(directory, 100L << 30).open())
        .compressors(Compressors.lz4(), Compressors.int4())
        .policy(UtilityPlacement.builder()
            .alpha(5) // seconds of waiting that the whole quality of an answer is worth
            .lossless(Compressors.lz4().codec())
            .candidates(List.of(int4, int4.keeping(DropMethod.KEYDIFF, 50), int4.keeping(DropMethod.H2O, 30)))
            .build())
        .probe(probe, Duration.ofSeconds(10)) // without one, quality is estimated from keys and values
        .open();
  }

  static void whenIdle(KvCache cache, Namespace model, Tokens tokens) {
    cache.control().profile(Duration.ofSeconds(1)); // measures what lossy encodings do to answers
    System.out.println(cache.control().explain(model, tokens));
  }

  static void serve(Path directory, int[] prompt, Engine engine) throws IOException {
    KvLayout layout = KvLayout.uniform(32, 8, 128, DType.BF16).withChunkTokens(256);
    Namespace model = Namespace.of("llama-3.1-8b-instruct@0e9e39f", layout);
    try (KvCache cache = KvCache.builder(layout)
        .tier(DramTier.open(8L << 30))
        .tier(SsdTier.builder(directory, 100L << 30).open())
        .compressors(Compressors.lz4())
        .policy(LruPlacement.withCodecs(0, Compressors.lz4().codec())) // raw in DRAM, LZ4 on SSD
        .open()) {
      serve(cache, model, prompt, engine);
      cache.flush(); // what is in memory only would be gone
    }
  }

  static void serve(KvCache cache, Namespace model, int[] prompt, Engine engine) {
    int layers = model.layout().layers().size();
    long row = model.layout().layer(0).keyRowBytes();
    Tokens tokens = Tokens.of(prompt);

    int cached;
    try (KvLease lease = cache.acquire(model, tokens, AcquireOptions.exact())) {
      cached = lease.tokens(); // the longest stored prefix
      for (int layer = 0; layer < layers; layer++) { // it only ever shrinks
        cached =
            lease.read(layer, engine.keys(layer, 0, cached * row), engine.values(layer, 0, cached * row));
      }
    }
    engine.prefill(prompt, Math.min(cached, prompt.length - 1)); // compute the rest

    try (KvReservation space = cache.reserve(model, tokens, StoreOptions.defaults())) {
      long from = space.firstToken() * row;
      for (int layer = 0; layer < layers; layer++) { // does nothing when all is stored, or there is no room
        space.write(layer, engine.keys(layer, from, space.tokens() * row),
            engine.values(layer, from, space.tokens() * row));
      }
      space.commit(); // visible from here on, all or nothing
    }
  }
}
