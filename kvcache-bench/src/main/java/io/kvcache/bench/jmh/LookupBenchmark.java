package io.kvcache.bench.jmh;

import io.kvcache.AcquireOptions;
import io.kvcache.DType;
import io.kvcache.KeyChain;
import io.kvcache.KvCache;
import io.kvcache.KvLayout;
import io.kvcache.KvLease;
import io.kvcache.KvReservation;
import io.kvcache.Namespace;
import io.kvcache.StoreOptions;
import io.kvcache.Tokens;
import io.kvcache.tiers.DramTier;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * What a look-up costs before a byte of KV moves: hashing the prompt, walking the tree, leasing. Prompts of 128,000
 * tokens, among them 16 that are cached in full, used in turn so that neither tokens nor keys stay in the core's
 * caches. {@link Tokens} are made anew for each hit, as an engine does for each request; keys are never reused.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 3, time = 2)
@Measurement(iterations = 5, time = 2)
@Fork(1)
public class LookupBenchmark {
  private static final int PROMPTS = 16;
  private static final int CHUNKS = 500;
  private static final int VOCABULARY = 128_000;
  private static final long CAPACITY_BYTES = 1L << 30;

  private final KvLayout layout = KvLayout.uniform(1, 1, 8, DType.BF16);
  private final Namespace namespace = Namespace.of("benchmark", layout);
  private final int[][] cached = new int[PROMPTS][];
  private final Tokens[] unknown = new Tokens[PROMPTS];
  private KvCache cache;
  private int next;

  /** Stores the prompts. */
  @Setup
  public void open() {
    SplittableRandom random = new SplittableRandom(1);
    cache = KvCache.builder(layout).tier(DramTier.open(CAPACITY_BYTES)).open();
    for (int prompt = 0; prompt < PROMPTS; prompt++) {
      cached[prompt] = random.ints((long) CHUNKS * layout.chunkTokens(), 0, VOCABULARY).toArray();
      unknown[prompt] = Tokens.of(random.ints((long) CHUNKS * layout.chunkTokens(), 0, VOCABULARY).toArray());
      store(Tokens.of(cached[prompt]));
    }
  }

  private void store(Tokens tokens) {
    try (Arena arena = Arena.ofConfined();
        KvReservation reservation = cache.reserve(namespace, tokens, StoreOptions.defaults())) {
      MemorySegment rows =
          arena.allocate((long) reservation.tokens() * layout.layer(0).keyRowBytes());
      reservation.write(0, rows, rows);
      if (!reservation.commit()) {
        throw new IllegalStateException("prompt could not be stored: " + reservation.status());
      }
    }
  }

  /** Closes the cache. */
  @TearDown
  public void close() {
    cache.close();
  }

  /** What an engine pays before: its token ids checked and copied. */
  @Benchmark
  public Tokens tokensOf() {
    return Tokens.of(cached[turn()]);
  }

  /** What a hit cannot do without: a hash over every token. */
  @Benchmark
  public Object keys() {
    return KeyChain.of(namespace, unknown[turn()]).key(CHUNKS - 1);
  }

  /** 500 cached chunks, leased and given back; {@link #tokensOf} included. */
  @Benchmark
  public int hit() {
    return acquire(Tokens.of(cached[turn()]));
  }

  /** Nothing of the prompt is cached. */
  @Benchmark
  public int firstChunkMiss() {
    return acquire(unknown[turn()]);
  }

  private int turn() {
    next = (next + 1) % PROMPTS;
    return next;
  }

  private int acquire(Tokens tokens) {
    try (KvLease lease = cache.acquire(namespace, tokens, AcquireOptions.exact())) {
      return lease.tokens();
    }
  }
}
