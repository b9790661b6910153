package io.kvcache;

import java.util.OptionalDouble;

/**
 * Measures how good answers about a context are when part of its KV is lossy: the engine's callback, since only it can
 * answer. Called by {@link KvControl#profile}, one call at a time, on a thread of the cache; the cache waits for a call
 * no longer than the timeout the probe was given with, and interrupts it then.
 */
public interface QualityProbe {
  /**
   * The quality of answering from lossy KV, such as the mean similarity of its answers to those from exact KV over
   * questions that are typical of the context (EvicPress, section 4.3).
   *
   * @param context key of the context's last stored chunk, as {@link KeyChain} gives it: says which context it is
   * @param exact the context's KV as far as it is exact; not to be closed
   * @param lossy the same with one segment encoded as it might be stored; read it as any lease; not to be closed
   * @return 0 to 1, 1 for no loss; empty when nothing is known to ask of this context, which then is estimated
   * @throws Exception when it cannot be told; the namespace is estimated from then on
   */
  OptionalDouble quality(ChunkKey context, KvLease exact, KvLease lossy) throws Exception;
}
