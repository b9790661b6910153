package io.kvcache;

import java.time.Duration;

/** What can be asked and told of a cache besides loading and storing. Threads: any. */
public interface KvControl {
  /**
   * Why what is stored of a prompt is stored as it is, and what else could be done with it. Changes nothing, and does
   * not count as a use.
   *
   * @throws IllegalArgumentException when the namespace has another layout than the cache
   */
  Explanation explain(Namespace namespace, Tokens tokens);

  /**
   * Measures what lossy encodings do to contexts of which that is not known, or not any more: by the {@link
   * QualityProbe} where there is one, else by an estimate from keys and values. To be called when the engine has
   * nothing better to do: it takes the engine's time. An interrupt ends it, and stays set. What could not be read is
   * tried again by later calls, a few times.
   *
   * @param budget how long it may take; no call of the probe, nor estimate, is begun after that
   */
  Profiling profile(Duration budget);

  /**
   * What came of profiling.
   *
   * @param profiledSegments segments measured
   * @param waitingSegments segments that still wait
   */
  record Profiling(int profiledSegments, int waitingSegments) {}

  /**
   * Tells how good an answer from the cached KV of a prompt turned out to be. Where it falls short of what was
   * measured by more than the cache's threshold, the context is measured again.
   *
   * @param quality 0 to 1, as a probe gives it
   * @throws IllegalArgumentException when the quality is none, or the namespace has another layout
   */
  void reportQuality(Namespace namespace, Tokens tokens, double quality);
}
