package io.kvcache.internal.engine;

import io.kvcache.CacheStats.Loads;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.LongAdder;

/** What the cache as a whole did. Threads: any. */
final class Counters {
  final LongAdder lookups = new LongAdder();
  final LongAdder requestedTokens = new LongAdder();
  final LongAdder hitTokens = new LongAdder();
  final LongAdder storedTokens = new LongAdder();
  final LongAdder rejected = new LongAdder();
  final AtomicInteger openLeases = new AtomicInteger();
  final AtomicInteger openReservations = new AtomicInteger();
  private final Map<Source, Sums> loads = new ConcurrentHashMap<>();

  private record Source(int tier, int codec) {}

  private record Sums(LongAdder chunks, LongAdder bytes) {
    Sums() {
      this(new LongAdder(), new LongAdder());
    }
  }

  void leased(int tier, int codec, int chunks) {
    sums(tier, codec).chunks.add(chunks);
  }

  void loaded(int tier, int codec, long bytes) {
    sums(tier, codec).bytes.add(bytes);
  }

  private Sums sums(int tier, int codec) {
    return loads.computeIfAbsent(new Source(tier, codec), source -> new Sums());
  }

  /** Names of a tier and of an encoding. */
  interface Names {
    String of(int number);
  }

  List<Loads> loads(Names tiers, Names codecs) {
    return loads.entrySet().stream()
        .sorted(Comparator.comparingInt((Map.Entry<Source, Sums> entry) -> entry.getKey().tier)
            .thenComparingInt(entry -> entry.getKey().codec))
        .map(entry -> new Loads(tiers.of(entry.getKey().tier), codecs.of(entry.getKey().codec),
            entry.getValue().chunks.sum(), entry.getValue().bytes.sum()))
        .toList();
  }
}
