package io.kvcache;

import io.kvcache.internal.engine.CacheEngine;
import java.io.IOException;

/**
 * A store for the KV of prompts, found again by prefix, in front of tiers of memory and storage.
 *
 * <p>Threads: every method may be called from any thread. Expected outcomes are results: a miss is an empty lease, no
 * room a reservation that says so. A damaged, slow or broken tier makes misses, never exceptions out of a look-up.
 */
public interface KvCache extends AutoCloseable {
  /** Starts to assemble a cache for models of this layout. */
  static KvCacheBuilder builder(KvLayout layout) {
    return new KvCacheBuilder(layout, CacheEngine::open);
  }

  /**
   * Leases the longest usable prefix of {@code tokens}, in one step.
   *
   * @return never null; empty on a miss
   * @throws IllegalArgumentException when the namespace has another layout than the cache
   */
  KvLease acquire(Namespace namespace, Tokens tokens, AcquireOptions options);

  /**
   * Claims space for the full chunks of {@code tokens} that are not stored, or says why not. Takes at most about a
   * millisecond unless the options allow waiting.
   *
   * @return never null
   * @throws IllegalArgumentException when the namespace has another layout than the cache
   */
  KvReservation reserve(Namespace namespace, Tokens tokens, StoreOptions options);

  /** Asks for a prefix in the fastest tier. A hint: may do nothing, never blocks. */
  void prefetch(Namespace namespace, Tokens tokens);

  /**
   * Removes a context: everything stored that continues {@code tokens}, then their chunks from the last one back to
   * where another context shares them. When this returns they cannot come back, not even by a crash; a reservation
   * of such chunks that was open meanwhile can no longer be committed.
   *
   * @return chunks removed
   * @throws IOException when a tier cannot promise that; nothing of the context is found any more all the same
   */
  int remove(Namespace namespace, Tokens tokens) throws IOException;

  /**
   * Removes everything of a namespace, as {@link #remove} does.
   *
   * @return chunks removed
   */
  int clear(Namespace namespace) throws IOException;

  /**
   * Gets everything committed before the call into a durable tier, most recently used first, as far as it fits.
   *
   * @return what now survives power loss, and what does not
   * @throws IOException when the durable tier fails; then nothing is promised
   */
  Flushed flush() throws IOException;

  /** What can be asked and told of the cache besides loading and storing. */
  KvControl control();

  /** What happened so far. */
  CacheStats stats();

  /**
   * Stops all work and closes the tiers. Does not flush: what is in memory only is gone. Idempotent, except that
   * tiers that could not be closed are tried again.
   *
   * @throws IllegalStateException when leases or reservations are open; everything is closed all the same, and what
   *     they still do is a miss. Also when a tier cannot be closed; the others are
   */
  @Override
  void close();

  /**
   * What {@link #flush} achieved.
   *
   * @param durableChunks chunks that survive power loss
   * @param volatileChunks chunks that no durable tier has room for
   */
  record Flushed(long durableChunks, long volatileChunks) {}
}
