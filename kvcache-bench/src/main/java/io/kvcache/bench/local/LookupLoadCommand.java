package io.kvcache.bench.local;

import io.kvcache.AcquireOptions;
import io.kvcache.DType;
import io.kvcache.KvCache;
import io.kvcache.KvLayout;
import io.kvcache.KvLease;
import io.kvcache.KvReservation;
import io.kvcache.Namespace;
import io.kvcache.StoreOptions;
import io.kvcache.Tokens;
import io.kvcache.bench.Console;
import io.kvcache.tiers.DramTier;
import java.io.IOException;
import java.io.PrintWriter;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Measures how long look-ups of long cached prompts take while several threads make them. */
@Command(
    name = "lookup-load",
    description = "Looks up cached prompts from several threads, each at fixed times, and prints quantiles of how long"
        + " a call takes, from the token ids to the lease closed again.",
    mixinStandardHelpOptions = true)
public final class LookupLoadCommand implements Callable<Integer> {
  private static final int PROMPTS = 16;
  private static final int VOCABULARY = 128_000;
  private static final long CAPACITY_BYTES = 1L << 30;
  private static final int MOST_THREADS = 1024;
  private static final int MOST_SECONDS = 3600;
  private static final int MOST_TOKENS = 1 << 20;
  private static final long MOST_MICROS = 10_000_000;
  private static final int WARMUP_SECONDS = 5;

  private final KvLayout layout = KvLayout.uniform(1, 1, 8, DType.BF16);
  private final Namespace namespace = Namespace.of("benchmark", layout);

  @Spec
  private CommandSpec spec;

  @Option(names = "--threads", paramLabel = "N", defaultValue = "8",
      description = "Threads that look up. Default: ${DEFAULT-VALUE}.")
  private int threads;

  @Option(names = "--every", paramLabel = "MICROS", defaultValue = "2000",
      description = "Microseconds from one call of a thread to its next. Default: ${DEFAULT-VALUE}.")
  private long everyMicros;

  @Option(names = "--tokens", paramLabel = "N", defaultValue = "128000",
      description = "Tokens of a prompt. Default: ${DEFAULT-VALUE}.")
  private int tokens;

  @Option(names = "--seconds", paramLabel = "N", defaultValue = "20",
      description = "How long it is measured, after 5 s to warm up. Default: ${DEFAULT-VALUE}.")
  private int seconds;

  /** Creates it, as picocli does. */
  public LookupLoadCommand() {}

  @Override
  public Integer call() throws IOException, InterruptedException, ExecutionException {
    Console console = new Console(spec);
    console.requireBetween("--threads", threads, 1, MOST_THREADS);
    console.requireBetween("--every", everyMicros, 1, MOST_MICROS);
    console.requireBetween("--tokens", tokens, layout.chunkTokens(), MOST_TOKENS);
    console.requireBetween("--seconds", seconds, 1, MOST_SECONDS);
    SplittableRandom random = new SplittableRandom(1);
    int[][] prompts = new int[PROMPTS][];
    try (KvCache cache = KvCache.builder(layout).tier(DramTier.open(CAPACITY_BYTES)).open()) {
      for (int prompt = 0; prompt < PROMPTS; prompt++) {
        prompts[prompt] = random.ints(tokens, 0, VOCABULARY).toArray();
        store(cache, Tokens.of(prompts[prompt]));
      }
      run(cache, prompts, Math.min(WARMUP_SECONDS, seconds));
      long[] nanos = run(cache, prompts, seconds);
      Arrays.sort(nanos);
      PrintWriter out = spec.commandLine().getOut();
      out.printf(Locale.ROOT, "%d threads, a prompt of %d tokens every %d us each: %.0f calls a second%n",
          threads,
          tokens, everyMicros, nanos.length / (double) seconds);
      out.printf(Locale.ROOT, "call, ms: p50 %.3f, p90 %.3f, p99 %.3f, p99.9 %.3f%n", quantile(nanos, 0.5),
          quantile(nanos, 0.9), quantile(nanos, 0.99), quantile(nanos, 0.999));
      out.flush();
    }
    return 0;
  }

  private static double quantile(long[] sorted, double share) {
    return sorted[(int) Math.min(sorted.length - 1L, (long) (share * sorted.length))] / 1e6;
  }

  private void store(KvCache cache, Tokens prompt) throws IOException {
    try (Arena arena = Arena.ofConfined();
        KvReservation reservation = cache.reserve(namespace, prompt, StoreOptions.defaults())) {
      MemorySegment rows = arena.allocate((long) reservation.tokens() * layout.layer(0).keyRowBytes());
      reservation.write(0, rows, rows);
      if (!reservation.commit()) {
        throw new IOException("prompt could not be stored: " + reservation.status());
      }
    }
  }

  private long[] run(KvCache cache, int[][] prompts, int forSeconds)
      throws InterruptedException, ExecutionException, IOException {
    long start = System.nanoTime();
    long end = start + forSeconds * 1_000_000_000L;
    try (ExecutorService pool = Executors.newFixedThreadPool(threads)) {
      List<Future<long[]>> running = IntStream.range(0, threads)
          .mapToObj(thread -> pool.submit(
              () -> calls(cache, prompts, start + thread * everyMicros * 1000 / threads, end, thread)))
          .toList();
      long[] all = {};
      for (Future<long[]> each : running) {
        all = LongStream.concat(Arrays.stream(all), Arrays.stream(each.get())).toArray();
      }
      return all;
    }
  }

  /** A thread that is late goes on with the next time that is still to come. */
  private long[] calls(KvCache cache, int[][] prompts, long from, long end, int seed) throws IOException {
    SplittableRandom random = new SplittableRandom(seed);
    LongStream.Builder nanos = LongStream.builder();
    long next = from;
    while (next < end) {
      while (System.nanoTime() < next) {
        LockSupport.parkNanos(next - System.nanoTime());
      }
      int[] prompt = prompts[random.nextInt(PROMPTS)];
      long begin = System.nanoTime();
      try (KvLease lease = cache.acquire(namespace, Tokens.of(prompt), AcquireOptions.exact())) {
        if (lease.tokens() < tokens / layout.chunkTokens() * layout.chunkTokens()) {
          throw new IOException("found " + lease.tokens() + " tokens of " + tokens);
        }
      }
      long done = System.nanoTime();
      nanos.add(done - begin);
      next += everyMicros * 1000 * Math.max(1, (done - next) / (everyMicros * 1000));
    }
    return nanos.build().toArray();
  }
}
