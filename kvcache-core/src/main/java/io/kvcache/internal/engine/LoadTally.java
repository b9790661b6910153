package io.kvcache.internal.engine;

import io.kvcache.Encoding;
import java.util.LinkedHashMap;
import java.util.Map;

/** What one lease loaded and how long it took, by tier and encoding: one observation each, as a request sees it. */
final class LoadTally {
  private final Map<From, long[]> sums = new LinkedHashMap<>();

  private record From(int tier, Encoding encoding) {}

  /** Takes one sum. */
  interface Sink {
    void accept(int tier, Encoding encoding, long bytes, long nanos);
  }

  void add(int tier, Encoding encoding, long bytes, long nanos) {
    long[] sum = sums.computeIfAbsent(new From(tier, encoding), from -> new long[2]);
    sum[0] += bytes;
    sum[1] += nanos;
  }

  /** Hands every sum over, and starts anew. */
  void drain(Sink sink) {
    sums.forEach((from, sum) -> sink.accept(from.tier, from.encoding, sum[0], sum[1]));
    sums.clear();
  }
}
