package io.kvcache.tiers;

import io.kvcache.AcquireOptions;
import io.kvcache.CacheEvent;
import io.kvcache.CacheStats.TierStats;
import io.kvcache.ChunkKey;
import io.kvcache.KvCache;
import io.kvcache.KvLease;
import io.kvcache.spi.CacheRuntime;
import io.kvcache.testkit.TestPrompt;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

/**
 * Opens what a crash left and compares it with a {@link CrashLedger}: entries of the tier, then every prompt through
 * a cache, byte by byte.
 */
final class CrashCheck {
  private static final String KNOWN_FILES = "kvcache-ssd|lock|index|extents-\\d+";
  private static final AcquireOptions ANY =
      AcquireOptions.any().acceptingPruned().deadline(Duration.ofMinutes(5));

  private final CrashOptions options;
  private final CrashWorkload workload;
  private final CrashLedger ledger;
  private final boolean powerCut;
  private final List<String> problems = new ArrayList<>();
  private final Set<String> entries = new HashSet<>();
  /** What a crash left of a measurement: a cache removes it as it opens. */
  private final Set<String> measured = new HashSet<>();
  private final Map<ChunkKey, Long> versions = new HashMap<>();
  private final Set<ChunkKey> bad = new HashSet<>();
  private final List<String> damage = new ArrayList<>();
  private long openNanos;

  private CrashCheck(CrashOptions options, CrashWorkload workload, CrashLedger ledger, boolean powerCut) {
    this.options = options;
    this.workload = workload;
    this.ledger = ledger;
    this.powerCut = powerCut;
  }

  /**
   * What was found.
   *
   * @param problems promises broken, empty when none was
   * @param openNanos how long the tier took to open
   * @param chunks chunks that were found and checked
   */
  record Found(List<String> problems, long openNanos, int chunks) {}

  /**
   * Opens the store as the options have it, and closes it; the ledger goes on from what is there then.
   *
   * @param powerCut whether what was not synced may be lost
   */
  static Found run(CrashOptions options, CrashWorkload workload, CrashLedger ledger, boolean powerCut) {
    CrashCheck check = new CrashCheck(options, workload, ledger, powerCut);
    check.problems.addAll(ledger.problems());
    try {
      check.run();
    } catch (IOException | RuntimeException e) {
      check.problems.add("cannot be opened and read: " + e);
    }
    ledger.restarted(check.entries, check.measured, check.versions);
    return new Found(check.problems, check.openNanos, check.versions.size());
  }

  private void require(boolean holds, String otherwise) {
    if (!holds) {
      problems.add(otherwise);
    }
  }

  private void run() throws IOException {
    long start = System.nanoTime();
    SsdTier tier = options.openSsd();
    openNanos = System.nanoTime() - start;
    SsdStats stats = tier.stats();
    require(!stats.indexReplaced(), "the index was damaged");
    require(stats.damagedRecords() + stats.misplacedEntries() == 0, "records do not check out: " + stats);
    long[] bytes = {SsdOpening.reserveBytes(options.ssdBytes())};
    tier.inventory(entry -> {
      entries.add(CrashReport.idName(entry.id()));
      if (entry.note().length == 0) {
        measured.add(CrashReport.idName(entry.id()));
      }
      bytes[0] += entry.storedBytes();
    });
    require(bytes[0] == tier.usage().usedBytes(), "space is taken that no entry has: " + tier.usage());
    require(tier.usage().usedBytes() <= options.ssdBytes(), "over capacity: " + tier.usage());
    checkFiles();
    checkEntries();
    try (KvCache cache = KvCache.builder(workload.layout()).compressors(CrashWorkload.compressors())
        .stagingBytes(4 << 20).runtime(tellingAtOnce()).listener(this::heard).tier(tier).open()) {
      workload.prompts().forEach(prompt -> checkPrompt(cache, prompt));
      TierStats counted = cache.stats().tiers().getFirst();
      require(counted.corruptChunks() + counted.missingChunks() + counted.errors() == 0,
          "trouble: " + counted + damage);
    }
  }

  private static CacheRuntime tellingAtOnce() {
    CacheRuntime system = CacheRuntime.system();
    return new CacheRuntime(system.nanoTime(), system.wallClock(), system.random(), system.io(),
        system.background(),
        Runnable::run, system.onClose());
  }

  private synchronized void heard(CacheEvent event) {
    if (event instanceof CacheEvent.Corrupt corrupt) {
      damage.add(corrupt.key() + ": " + corrupt.problem());
    }
  }

  private void checkFiles() throws IOException {
    try (Stream<Path> files = Files.list(options.directory())) {
      files.map(file -> file.getFileName().toString()).filter(name -> !name.matches(KNOWN_FILES))
          .forEach(name -> problems.add("orphan file " + name));
    }
  }

  private void checkEntries() {
    Set<String> lost = new HashSet<>(ledger.certain(powerCut));
    lost.removeAll(entries);
    require(lost.isEmpty(),
        "lost " + lost.size() + " entries that were acknowledged, such as " + first(lost));
    Set<String> back = new HashSet<>(entries);
    back.removeAll(ledger.possible());
    require(back.isEmpty(), "removed, and back: " + back.size() + " entries, such as " + first(back));
  }

  private static String first(Set<String> set) {
    return set.stream().findFirst().orElse("none");
  }

  private void checkPrompt(KvCache cache, TestPrompt prompt) {
    int least = ledger.leading(prompt, powerCut);
    try (KvLease lease = prompt.acquire(cache, ANY); LeasedChunks chunks = new LeasedChunks(prompt, lease)) {
      require(chunks.count() >= least, "found " + chunks.count() + " chunks of a prompt, expected " + least);
      for (int chunk = 0; chunk < chunks.count(); chunk++) {
        ChunkKey key = prompt.keys().get(chunk);
        if (!versions.containsKey(key) && !bad.contains(key)) {
          checkChunk(chunks, chunk, key);
        }
      }
    }
  }

  private void checkChunk(LeasedChunks chunks, int chunk, ChunkKey key) {
    for (long version : ledger.versions(key)) {
      if (chunks.is(chunk, version)) {
        versions.put(key, version);
        return;
      }
    }
    bad.add(key);
    boolean sound = chunks.exact(chunk) && chunks.is(chunk, chunks.claimedVersion(chunk));
    problems.add((sound ? "removed or never stored, and found: version " + chunks.claimedVersion(chunk)
        : "wrong bytes") + " of " + key + ", possible were " + ledger.versions(key));
  }
}
