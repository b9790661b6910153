package io.kvcache.bench.jmh;

import io.kvcache.AcquireOptions;
import io.kvcache.DType;
import io.kvcache.KvCache;
import io.kvcache.KvLayout;
import io.kvcache.KvLease;
import io.kvcache.KvReservation;
import io.kvcache.Namespace;
import io.kvcache.StoreOptions;
import io.kvcache.Tokens;
import io.kvcache.tiers.DramTier;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.zip.CRC32C;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * Reading and storing KV in DRAM, beside the physical work it consists of: a call handles one layer of 16,384 tokens,
 * 64 MiB; eight layers in turn make 512 MiB of source and as much of target, more than caches hold. Divide by the
 * time of {@link #copy} or {@link #crc32c}.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 2, time = 2)
@Measurement(iterations = 5, time = 2)
@Fork(1)
public class ReadBenchmark {
  private static final int LAYERS = 8;
  private static final int TOKENS = 64 * 256;
  private static final int STRIDE_BYTES = 1 << 20;
  private static final long CAPACITY_BYTES = 640L << 20;

  /** Tokens of a chunk: halves of 512 KiB, as of a large model, and of 32 KiB, as of a small one. */
  @Param({"256", "16"})
  int chunkTokens;

  private KvLayout layout;
  private Namespace namespace;
  private final Arena arena = Arena.ofShared();
  private final MemorySegment[] keys = new MemorySegment[LAYERS];
  private final MemorySegment[] values = new MemorySegment[LAYERS];
  private final MemorySegment[] plain = new MemorySegment[LAYERS];
  private KvCache cache;
  private KvCache scratch;
  private KvLease lease;
  private int layer;
  private int stored;

  /** Fills a cache with 512 MiB of random KV, and opens an empty one to store into. */
  @Setup
  public void open() {
    layout = KvLayout.uniform(LAYERS, 8, 128, DType.BF16).withChunkTokens(chunkTokens);
    namespace = Namespace.of("benchmark", layout);
    long half = (long) TOKENS * layout.layer(0).keyRowBytes();
    SplittableRandom random = new SplittableRandom(1);
    for (int at = 0; at < LAYERS; at++) {
      keys[at] = arena.allocate(half, 4096);
      values[at] = arena.allocate(half, 4096);
      plain[at] = arena.allocate(2 * half, 4096);
      fill(keys[at], random);
      fill(values[at], random);
      fill(plain[at], random);
    }
    cache = KvCache.builder(layout).tier(DramTier.open(CAPACITY_BYTES)).open();
    scratch = KvCache.builder(layout).tier(DramTier.open(CAPACITY_BYTES)).open();
    Tokens prompt = Tokens.of(random.ints(TOKENS, 0, 1000).toArray());
    store(cache, prompt);
    lease = cache.acquire(namespace, prompt, AcquireOptions.exact().deadline(Duration.ofDays(1)));
    if (lease.tokens() != TOKENS) {
      throw new IllegalStateException("leased " + lease.tokens() + " tokens of " + TOKENS);
    }
  }

  private static void fill(MemorySegment segment, SplittableRandom random) {
    for (long at = 0; at < segment.byteSize(); at += Long.BYTES) {
      segment.set(ValueLayout.JAVA_LONG, at, random.nextLong());
    }
  }

  private void store(KvCache into, Tokens prompt) {
    try (KvReservation reservation = into.reserve(namespace, prompt, StoreOptions.defaults())) {
      for (int at = 0; at < LAYERS; at++) {
        reservation.write(at, keys[at], values[at]);
      }
      if (!reservation.commit()) {
        throw new IllegalStateException("not stored: " + reservation.status());
      }
    }
  }

  /** Closes everything. */
  @TearDown
  public void close() {
    lease.close();
    cache.close();
    scratch.close();
    arena.close();
  }

  private int turn() {
    layer = (layer + 1) % LAYERS;
    return layer;
  }

  /** The limit of copying: 64 MiB. */
  @Benchmark
  public MemorySegment copy() {
    int at = turn();
    long half = keys[at].byteSize();
    MemorySegment.copy(plain[at], 0, keys[at], 0, half);
    MemorySegment.copy(plain[at], half, values[at], 0, half);
    return keys[at];
  }

  /** The limit of verifying: 64 MiB. */
  @Benchmark
  public long crc32c() {
    MemorySegment bytes = plain[turn()];
    CRC32C crc = new CRC32C();
    for (long at = 0; at < bytes.byteSize(); at += STRIDE_BYTES) {
      crc.update(bytes.asSlice(at, STRIDE_BYTES).asByteBuffer());
    }
    return crc.getValue();
  }

  /** A verified view of a layer. */
  @Benchmark
  public Object verifiedView() {
    return lease.view(lease.runs().getFirst(), turn());
  }

  /** A layer, verified and copied. */
  @Benchmark
  public int verifiedCopyOut() {
    int at = turn();
    return lease.read(at, keys[at], values[at]);
  }

  /** All layers, 512 MiB: reserved, copied and checksummed, committed, and removed. */
  @Benchmark
  public Object storeAllLayers() throws IOException {
    Tokens prompt =
        Tokens.of(new SplittableRandom(stored++).ints(TOKENS, 0, 9).toArray());
    store(scratch, prompt);
    return scratch.remove(namespace, prompt);
  }
}
