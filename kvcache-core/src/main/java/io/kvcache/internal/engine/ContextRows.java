package io.kvcache.internal.engine;

import io.kvcache.Fidelity;
import io.kvcache.KvHalf;
import io.kvcache.KvLease.KvKept;
import io.kvcache.KvLease.Run;
import io.kvcache.LayerSpec;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * A leased context that is read many times: each layer once from its tiers, then from memory, unless the context is too
 * large for that. Threads: any; reads wait for each other.
 */
final class ContextRows implements AutoCloseable {
  private static final long MOST_BYTES = 512L << 20;
  private static final int ALIGNMENT = 64;

  private final Lease lease;
  private final Resources shared;
  private final long tokens;
  private final boolean remembers;
  private final Arena arena = Arena.ofShared();
  private final MemorySegment[] known;

  /** Takes the lease over. */
  ContextRows(Resources shared, Lease lease) {
    this.shared = shared;
    this.lease = lease;
    this.tokens = lease.tokens();
    this.remembers = tokens * shared.plan.layout().tokenBytes() <= MOST_BYTES;
    this.known = new MemorySegment[2 * shared.plan.layers()];
  }

  synchronized int tokens() {
    return lease.tokens();
  }

  Fidelity fidelity() {
    return lease.fidelity();
  }

  List<Run> runs() {
    return lease.runs();
  }

  synchronized KvKept kept(Run run, int layer) {
    return lease.kept(run, layer);
  }

  /** As {@link io.kvcache.KvLease#read}; rows of runs that lack tokens are undefined. */
  synchronized int read(int layer, MemorySegment keys, MemorySegment values) {
    if (!remembers) {
      return lease.read(layer, keys, values);
    }
    if (known[2 * layer] == null) {
      LayerSpec spec = shared.plan.layout().layer(layer);
      MemorySegment allKeys = arena.allocate(tokens * spec.keyRowBytes(), ALIGNMENT);
      MemorySegment allValues = arena.allocate(tokens * spec.valueRowBytes(), ALIGNMENT);
      lease.read(layer, allKeys, allValues);
      known[2 * layer] = allKeys;
      known[2 * layer + 1] = allValues;
    }
    copy(layer, KvHalf.KEYS, keys);
    copy(layer, KvHalf.VALUES, values);
    return lease.tokens();
  }

  private void copy(int layer, KvHalf half, MemorySegment target) {
    long bytes = (long) lease.tokens() * shared.plan.layout().layer(layer).rowBytes(half);
    MemorySegment.copy(known[2 * layer + half.ordinal()], 0, target, 0, bytes);
  }

  @Override
  public void close() {
    lease.close();
    arena.close();
  }
}
