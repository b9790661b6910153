package io.kvcache.tiers;

import io.kvcache.AcquireOptions;
import io.kvcache.CacheEvent;
import io.kvcache.ChunkKey;
import io.kvcache.KvCache;
import io.kvcache.KvCache.Flushed;
import io.kvcache.KvLease;
import io.kvcache.KvReservation;
import io.kvcache.KvReservation.Status;
import io.kvcache.spi.CacheRuntime;
import io.kvcache.spi.Tier;
import io.kvcache.testkit.ManualExecutor;
import io.kvcache.testkit.TestPrompt;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.InstantSource;
import java.util.List;
import java.util.Random;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicLong;

/** Uses a cache over DRAM and SSD in a process of its own until it is killed, and reports all it does. */
final class CrashChild {
  private final CrashOptions options;
  private final CrashReport report;
  private final CrashWorkload workload;
  private final ManualExecutor moves = new ManualExecutor();
  private final AtomicLong nextVersion;
  private final AtomicLong flushes = new AtomicLong();
  private KvCache cache;

  private CrashChild(CrashOptions options, CrashReport report) {
    this.options = options;
    this.report = report;
    workload = new CrashWorkload(options.layout());
    nextVersion = new AtomicLong(options.firstVersion());
  }

  /** Reads one line with {@link CrashOptions}; until then nothing is opened. */
  public static void main(String[] arguments) throws Exception {
    CrashReport report = new CrashReport();
    new CrashWorkload(0); // classes are loaded before it begins, not when it may be killed already
    SsdIndex.class.getMethods();
    Class.forName("io.kvcache.tiers.SsdIndexOptions"); // the native library
    String line = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII)).readLine();
    int status = 1;
    try {
      if (line != null) {
        new CrashChild(CrashOptions.parse(line), report).run();
      }
      report.line("finished");
      status = 0;
    } catch (Throwable e) {
      report.line("failed " + e);
      e.printStackTrace();
    }
    Runtime.getRuntime().halt(status);
  }

  private void run() throws Exception {
    Tier ssd = report.of(options.flaw().in(options.openSsd()));
    ssd.inventory(entry -> report.line("has " + CrashReport.idName(entry.id())));
    cache = KvCache.builder(workload.layout())
        .compressors(CrashWorkload.compressors())
        .policy(options.newPolicy())
        .stagingBytes(4 << 20)
        .listener(event -> report.line("event " + what(event)))
        .runtime(options.threads() > 1 ? CacheRuntime.system() : oneThread())
        .tier(DramTier.open(options.dramBytes())).tier(ssd)
        .open();
    report.line("opened");
    Throwable[] problem = new Throwable[1];
    Thread second = Thread.ofPlatform().daemon().unstarted(() -> use(1));
    second.setUncaughtExceptionHandler((thread, e) -> problem[0] = e);
    if (options.threads() > 1) {
      second.start();
    }
    use(0);
    second.join();
    if (problem[0] != null) {
      throw new IllegalStateException(problem[0]);
    }
  }

  private static String what(CacheEvent event) {
    return event.getClass().getSimpleName()
        + (event instanceof CacheEvent.Dropped dropped ? dropped.cause() : "");
  }

  private CacheRuntime oneThread() {
    return new CacheRuntime(System::nanoTime, InstantSource.system(), new Random(options.seed()),
        Runnable::run,
        moves, Runnable::run, () -> {});
  }

  private void use(int namespace) {
    SplittableRandom random = new SplittableRandom(options.seed() * 31 + namespace);
    try {
      for (int operation = 0; operation < options.operations(); operation++) {
        step(namespace, random);
        moves.runAll();
      }
    } catch (Throwable e) {
      report.line("failed " + e);
      throw new IllegalStateException(e);
    }
  }

  private void step(int namespace, SplittableRandom random) throws IOException {
    int number = namespace * workload.perNamespace() + random.nextInt(workload.perNamespace());
    TestPrompt prompt = workload.prompts().get(number);
    int dice = random.nextInt(100);
    if (dice < 45) {
      store(number, prompt, dice > 2);
    } else if (dice < 75) {
      lookUp(prompt, random.nextBoolean() ? AcquireOptions.any().acceptingPruned() : AcquireOptions.exact());
    } else if (dice < 82) {
      cache.prefetch(prompt.namespace(), prompt.tokens());
    } else if (dice < 90) {
      report.line("removing " + number);
      cache.remove(prompt.namespace(), prompt.tokens());
      report.line("removed " + number);
    } else if (dice < 91) {
      report.line("clearing " + namespace);
      cache.clear(prompt.namespace());
      report.line("cleared " + namespace);
    } else {
      long flush = flushes.incrementAndGet();
      report.line("flushing " + flush);
      Flushed flushed = cache.flush();
      report.line("flushed " + flush + " " + flushed.durableChunks());
    }
  }

  private void store(int number, TestPrompt prompt, boolean commits) {
    long version = nextVersion.getAndIncrement();
    boolean committed;
    try (KvReservation reservation = prompt.reserve(cache)) {
      if (reservation.status() != Status.RESERVED) {
        return;
      }
      int chunkTokens = workload.layout().chunkTokens();
      report.line("storing " + version + " " + number + " " + reservation.firstToken() / chunkTokens + " "
          + reservation.tokens() / chunkTokens);
      long written = options.flaw() == CrashFlaw.STORES_OTHER_BYTES ? -version : version;
      prompt.ofVersion(written).write(reservation);
      committed = commits && reservation.commit();
    }
    report.line((committed ? "stored " : "withdrawn ") + version);
  }

  private void lookUp(TestPrompt prompt, AcquireOptions options) {
    try (KvLease lease = prompt.acquire(cache, options);
        LeasedChunks chunks = new LeasedChunks(prompt, lease)) {
      List<ChunkKey> keys = prompt.keys();
      for (int chunk = 0; chunk < chunks.count(); chunk++) {
        if (chunks.exact(chunk) && !chunks.is(chunk, chunks.claimedVersion(chunk))) {
          throw new IllegalStateException("wrong bytes in " + keys.get(chunk));
        }
      }
    }
  }
}
