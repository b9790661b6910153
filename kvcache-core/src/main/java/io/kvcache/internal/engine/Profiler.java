package io.kvcache.internal.engine;

import io.kvcache.ChunkKey;
import io.kvcache.Encoding;
import io.kvcache.KvControl.Profiling;
import io.kvcache.KvHalf;
import io.kvcache.KvLayout;
import io.kvcache.LayerSpec;
import io.kvcache.QualityProbe;
import io.kvcache.internal.engine.Insights.Context;
import io.kvcache.internal.engine.Inventory.Found;
import io.kvcache.internal.prune.Kept;
import io.kvcache.internal.quality.AttentionFidelity;
import io.kvcache.internal.tree.Segment;
import io.kvcache.spi.Deadline;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Measures what lossy encodings do to segments, one at a time, when the engine has time for it (EvicPress, section
 * 4.3): the quality of a whole context with just one segment of it lossy, for every encoding the policy may choose.
 */
final class Profiler {
  private final Resources shared;
  private final ProbeCaller probe;
  private final Pruner pruner;
  private final ReentrantLock oneAtATime = new ReentrantLock();
  private Work unfinished;

  /** A segment being measured; what is not known yet is NaN. */
  private static final class Work {
    private final Segment segment;
    private final int chunks;
    private final float[] lossPerChunk;
    private int next;

    Work(Segment segment, int candidates) {
      this.segment = segment;
      this.chunks = segment.chunks();
      this.lossPerChunk = new float[candidates];
      Arrays.fill(lossPerChunk, Float.NaN);
    }
  }

  Profiler(Resources shared, QualityProbe probe, Duration probeTimeout) {
    this.shared = shared;
    this.probe = new ProbeCaller(shared, probe, probeTimeout);
    this.pruner = new Pruner(shared);
  }

  /** Measures until the time is over, or nothing waits. One call at a time does so; another one returns at once. */
  Profiling profile(Duration budget) {
    int done = 0;
    if (oneAtATime.tryLock()) {
      try {
        Deadline deadline = Deadline.after(CacheEngine.nanos(budget), shared.runtime.nanoTime());
        while (!deadline.expired() && !shared.closed() && next()) {
          Work work = unfinished;
          unfinished = null; // what fails is not tried for ever
          if (measure(work, deadline)) {
            shared.counters.profiled.increment();
            done++;
          }
          unfinished = work.next < candidates().size() ? work : null;
        }
      } finally {
        oneAtATime.unlock();
      }
    }
    return new Profiling(done,
        shared.inventory.insights().waitingForProfile() + (unfinished == null ? 0 : 1));
  }

  private List<Encoding> candidates() {
    return shared.qualities.candidates();
  }

  private boolean next() {
    if (unfinished == null) {
      Segment segment = shared.inventory.insights().nextToProfile();
      unfinished = segment == null ? null : new Work(segment, candidates().size());
    }
    return unfinished != null;
  }

  /** Goes on measuring a segment; whether it is done. One that is not exact any more is given up. */
  private boolean measure(Work work, Deadline deadline) {
    Context context = shared.inventory.insights().contextOf(work.segment,
        stored -> shared.codecs.supports(stored.encoding())
            && shared.tiers.get(stored.tier()).available());
    if (context == null || context.to() - context.from() != work.chunks) {
      work.next = candidates().size();
      return false;
    }
    try (Lease lease = new Lease(shared, context.chunks(), Deadline.never(), false)) {
      Estimates estimates = new Estimates(lease, context);
      while (work.next < candidates().size()) {
        if (deadline.expired() || shared.closed()) {
          return false;
        }
        double quality = quality(work, lease, context, candidates().get(work.next), estimates);
        if (lease.tokens() < context.to() * shared.plan.layout().chunkTokens()) {
          // What could not be read was left out of it, or was missing from the start.
          work.next = candidates().size();
          return false;
        }
        work.lossPerChunk[work.next++] = (float) ((1 - quality) / work.chunks);
      }
    }
    return shared.inventory.insights().profiled(work.segment, work.chunks, work.lossPerChunk);
  }

  private double quality(Work work, Lease lease, Context context, Encoding encoding, Estimates estimates) {
    Map<ChunkKey, Kept> kept = Map.of();
    if (encoding.dropsTokens()) {
      List<Pruner.Exact> exact = context.chunks().subList(context.from(), context.to()).stream()
          .map(found -> new Pruner.Exact(found.position(), found.key(), found.stored())).toList();
      kept = pruner.choose(exact, encoding);
      if (kept.isEmpty()) {
        return 0; // it cannot be encoded so
      }
    }
    Trial trial = new Trial(shared, encoding, kept);
    List<ChunkKey> keys = context.chunks().stream().map(Found::key).toList();
    return probe.ask(work.segment.root(), keys.getLast(), EncodedLease.asIs(shared, lease),
        new EncodedLease(shared, lease, keys, context.from(), context.to(), trial))
        .orElseGet(() -> estimates.of(trial));
  }

  /** Estimates for one segment; what they need of its exact KV is read once, when the first is wanted. */
  private final class Estimates {
    private final Lease lease;
    private final Context context;
    private AttentionFidelity fidelity;

    Estimates(Lease lease, Context context) {
      this.lease = lease;
      this.context = context;
    }

    double of(Trial trial) {
      KvLayout layout = shared.plan.layout();
      if (!AttentionFidelity.supports(layout)) {
        return shared.codecs.nominalQuality(trial.encoding());
      }
      try (Arena arena = Arena.ofConfined()) {
        if (fidelity == null) {
          fidelity = new AttentionFidelity(layout, rows(arena, new Trial(shared, Encoding.RAW, Map.of())));
        }
        return Math.clamp(fidelity.estimate(rows(arena, trial)), 0, 1);
      }
    }

    private AttentionFidelity.Rows rows(Arena arena, Trial trial) {
      return (layer, half) -> {
        LayerSpec spec = shared.plan.layout().layer(layer);
        MemorySegment[] all = new MemorySegment[2];
        for (KvHalf each : KvHalf.values()) {
          // The lease may shrink meanwhile; what was measured then is not used.
          long tokens = (long) context.chunks().size() * shared.plan.layout().chunkTokens();
          all[each.ordinal()] = arena.allocate(tokens * spec.rowBytes(each), 64);
        }
        lease.read(layer, all[0], all[1]);
        long bytes = (long) shared.plan.layout().chunkTokens() * spec.rowBytes(half);
        List<MemorySegment> chunks = new ArrayList<>();
        for (int chunk = context.from(); chunk < context.to(); chunk++) {
          MemorySegment dense = all[half.ordinal()].asSlice(chunk * bytes, bytes);
          chunks.add(trial.rows(arena, context.chunks().get(chunk).key(), layer, half, dense));
        }
        return chunks;
      };
    }
  }
}
