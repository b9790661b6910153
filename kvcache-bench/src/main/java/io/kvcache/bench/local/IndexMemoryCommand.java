package io.kvcache.bench.local;

import io.kvcache.AcquireOptions;
import io.kvcache.Encoding;
import io.kvcache.KvCache;
import io.kvcache.KvLayout;
import io.kvcache.KvLease;
import io.kvcache.KvReservation;
import io.kvcache.KvReservation.Status;
import io.kvcache.LayerSpec;
import io.kvcache.Namespace;
import io.kvcache.StoreOptions;
import io.kvcache.Tokens;
import io.kvcache.bench.Console;
import io.kvcache.bench.Machine;
import io.kvcache.placement.LruPlacement;
import io.kvcache.placement.UtilityPlacement;
import io.kvcache.spi.PlacementPolicy;
import io.kvcache.tiers.DramTier;
import java.io.IOException;
import java.io.PrintWriter;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.util.List;
import java.util.Locale;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.LongAdder;
import java.util.stream.IntStream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Measures what a chunk costs the heap, and what collecting garbage costs while the cache works. */
@Command(
    name = "index-memory",
    description = "Stores many small chunks in DRAM and measures bytes of heap for each, then looks up and stores under"
        + " load and measures what collecting garbage takes. Choose heap and collector by KVCACHE_JAVA_OPTS, such as"
        + " '-Xmx512m -XX:+UseZGC'.",
    mixinStandardHelpOptions = true)
public final class IndexMemoryCommand implements Callable<Integer> {
  private static final int CHUNK_TOKENS = 16;
  /** Of a chunk in DRAM, its record and pages' words included. */
  private static final long CHUNK_BYTES = 4120;
  private static final int MOST_CHUNKS = 1 << 24;
  private static final int MOST_CONTEXT_CHUNKS = 4096;
  private static final int MOST_SECONDS = 3600;
  private static final int STORES_OF_TEN = 1;
  private static final int THREADS = 2;

  private final KvLayout layout = new KvLayout(List.of(LayerSpec.opaque(16)), CHUNK_TOKENS);
  private final Namespace namespace = Namespace.of("benchmark", layout);

  @Spec
  private CommandSpec spec;

  @Option(names = "--chunks", paramLabel = "N", defaultValue = "1000000",
      description = "Chunks stored; each takes a page of 4 KiB of DRAM. Default: ${DEFAULT-VALUE}.")
  private int chunks;

  @Option(names = "--context-chunks", paramLabel = "N", defaultValue = "100",
      description = "Chunks of a context; contexts share none. Default: ${DEFAULT-VALUE}.")
  private int contextChunks;

  @Option(names = "--policy", paramLabel = "POLICY", defaultValue = "lru",
      description = "Placement: ${COMPLETION-CANDIDATES}. Default: ${DEFAULT-VALUE}.")
  private Placement placement;

  @Option(names = "--seconds", paramLabel = "N", defaultValue = "20",
      description = "How long to put it under load. Default: ${DEFAULT-VALUE}.")
  private int seconds;

  private final LongAdder lookedUp = new LongAdder();
  private final LongAdder missed = new LongAdder();
  private final LongAdder stored = new LongAdder();

  /** The policies whose own memory may be measured. */
  enum Placement {
    LRU, UTILITY;

    PlacementPolicy policy() {
      return this == LRU ? LruPlacement.raw()
          : UtilityPlacement.builder().candidates(List.<Encoding>of()).build();
    }
  }

  /** Creates it, as picocli does. */
  public IndexMemoryCommand() {}

  @Override
  public Integer call() throws IOException, InterruptedException, ExecutionException {
    Console console = new Console(spec);
    console.requireBetween("--chunks", chunks, 1,
        Math.min(MOST_CHUNKS, Machine.memoryBytes() / 2 / CHUNK_BYTES));
    console.requireBetween("--context-chunks", contextChunks, 1, MOST_CONTEXT_CHUNKS);
    console.requireBetween("--seconds", seconds, 0, MOST_SECONDS);
    PrintWriter out = spec.commandLine().getOut();
    int contexts = (chunks + contextChunks - 1) / contextChunks;
    long capacity = Math.max(DramTier.MIN_CAPACITY_BYTES,
        (long) contexts * contextChunks * CHUNK_BYTES * 128 / 127 + (1 << 20));
    try (
        KvCache cache =
            KvCache.builder(layout).tier(DramTier.open(capacity)).policy(placement.policy()).open();
        Arena arena = Arena.ofShared()) {
      MemorySegment rows =
          arena.allocate((long) contextChunks * CHUNK_TOKENS * layout.layer(0).keyRowBytes() + 1);
      long before = usedHeap();
      for (int context = 0; context < contexts; context++) {
        store(cache, context, rows);
        if (context % Math.max(1, contexts / 20) == 0) {
          console.say("index-memory: stored %d of %d contexts%n", context, contexts);
        }
      }
      long held = cache.stats().tiers().getFirst().entries();
      out.printf(Locale.ROOT, "%d chunks in %d contexts, placement %s: %.1f bytes of heap for each chunk%n",
          held,
          contexts, placement, (double) (usedHeap() - before) / held);
      out.flush();
      if (seconds > 0) {
        console.say("index-memory: under load for %d s%n", seconds);
        load(cache, contexts, rows, out);
      }
    }
    return 0;
  }

  private static long usedHeap() {
    long least = Long.MAX_VALUE;
    for (int attempt = 0; attempt < 3; attempt++) {
      System.gc();
      least = Math.min(least, ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed());
    }
    return least;
  }

  private Tokens tokens(int context) {
    return Tokens
        .of(new SplittableRandom(context).ints((long) contextChunks * CHUNK_TOKENS, 0, 128_000).toArray());
  }

  private void store(KvCache cache, int context, MemorySegment rows) throws IOException {
    try (KvReservation reservation = cache.reserve(namespace, tokens(context), StoreOptions.defaults())) {
      if (reservation.status() == Status.RESERVED) {
        long bytes = (long) reservation.tokens() * layout.layer(0).keyRowBytes();
        long valueBytes = (long) reservation.tokens() * layout.layer(0).valueRowBytes();
        reservation.write(0, rows.asSlice(0, bytes), rows.asSlice(0, valueBytes));
        if (!reservation.commit()) {
          throw new IOException("context " + context + " could not be committed");
        }
        stored.increment();
      }
    }
  }

  /** Nine look-ups of what was stored lately, by Zipf's law, to one store, as fast as they go. */
  private void load(KvCache cache, int contexts, MemorySegment rows, PrintWriter out)
      throws IOException, InterruptedException, ExecutionException {
    GarbageCollection before = GarbageCollection.now();
    lookedUp.reset();
    missed.reset();
    stored.reset();
    long end = System.nanoTime() + seconds * 1_000_000_000L;
    try (ExecutorService threads = Executors.newFixedThreadPool(THREADS)) {
      List<Future<Void>> running = IntStream.range(0, THREADS).mapToObj(thread -> threads.submit(() -> {
        SplittableRandom random = new SplittableRandom(thread);
        int next = contexts + thread;
        while (System.nanoTime() < end) {
          if (random.nextInt(10) < STORES_OF_TEN) {
            store(cache, next, rows);
            next += THREADS;
          } else {
            lookUp(cache, Math.max(0, next - (int) Math.pow(contexts, random.nextDouble())));
          }
        }
        return (Void) null;
      })).toList();
      for (Future<Void> each : running) {
        each.get();
      }
    }
    GarbageCollection after = GarbageCollection.now();
    out.printf(Locale.ROOT,
        "under load: %.0f look-ups (%.0f %% found) and %.0f stores a second; %s: %.2f %% of the time paused,"
            + " %.2f %% of the processors' time%n",
        lookedUp.sum() / (double) seconds,
        100.0 * (lookedUp.sum() - missed.sum()) / Math.max(1, lookedUp.sum()),
        stored.sum() / (double) seconds, GarbageCollection.names(), 100 * after.pauseShareSince(before),
        100 * after.processorShareSince(before));
  }

  private void lookUp(KvCache cache, int context) {
    try (KvLease lease = cache.acquire(namespace, tokens(context), AcquireOptions.exact())) {
      lookedUp.increment();
      if (lease.tokens() == 0) {
        missed.increment();
      }
    }
  }
}
