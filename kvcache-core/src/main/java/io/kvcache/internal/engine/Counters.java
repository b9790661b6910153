package io.kvcache.internal.engine;

import io.kvcache.CacheStats.Loads;
import io.kvcache.Encoding;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.Function;
import java.util.function.IntFunction;

/** What the cache as a whole did. Threads: any. */
final class Counters {
  final LongAdder lookups = new LongAdder();
  final LongAdder requestedTokens = new LongAdder();
  final LongAdder hitTokens = new LongAdder();
  final LongAdder storedTokens = new LongAdder();
  final LongAdder rejected = new LongAdder();
  final LongAdder overQuota = new LongAdder();
  final LongAdder profiled = new LongAdder();
  final LongAdder probeFailures = new LongAdder();
  final LongAdder pluginFailures = new LongAdder();
  final AtomicInteger openLeases = new AtomicInteger();
  final AtomicInteger openReservations = new AtomicInteger();
  private final Map<Source, Sums> loads = new ConcurrentHashMap<>();

  private record Source(int tier, Encoding encoding) {}

  private record Sums(LongAdder chunks, LongAdder bytes) {
    Sums() {
      this(new LongAdder(), new LongAdder());
    }
  }

  void leased(int tier, Encoding encoding, int chunks) {
    sums(tier, encoding).chunks.add(chunks);
  }

  void loaded(int tier, Encoding encoding, long bytes) {
    sums(tier, encoding).bytes.add(bytes);
  }

  private Sums sums(int tier, Encoding encoding) {
    return loads.computeIfAbsent(new Source(tier, encoding), source -> new Sums());
  }

  List<Loads> loads(IntFunction<String> tiers, Function<Encoding, String> encodings) {
    return loads.entrySet().stream()
        .sorted(Comparator.comparingInt((Map.Entry<Source, Sums> entry) -> entry.getKey().tier)
            .thenComparing(entry -> encodings.apply(entry.getKey().encoding)))
        .map(entry -> new Loads(tiers.apply(entry.getKey().tier), encodings.apply(entry.getKey().encoding),
            entry.getValue().chunks.sum(), entry.getValue().bytes.sum()))
        .toList();
  }
}
