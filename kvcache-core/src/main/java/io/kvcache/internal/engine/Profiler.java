package io.kvcache.internal.engine;

import io.kvcache.ChunkKey;
import io.kvcache.DropMethod;
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
import java.util.EnumMap;
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
    try (ContextRows rows =
        new ContextRows(shared, new Lease(shared, context.chunks(), Deadline.never(), false))) {
      Trials trials = new Trials(rows, context);
      while (work.next < candidates().size()) {
        if (deadline.expired() || shared.closed()) {
          return false;
        }
        double quality = trials.quality(work.segment.root(), candidates().get(work.next));
        if (rows.tokens() < context.to() * shared.plan.layout().chunkTokens()) {
          // What could not be read was left out of it, or was missing from the start.
          work.next = candidates().size();
          return false;
        }
        work.lossPerChunk[work.next++] = (float) ((1 - quality) / work.chunks);
      }
    }
    return shared.inventory.insights().profiled(work.segment, work.chunks, work.lossPerChunk);
  }

  /** What is tried on one segment; what several encodings need of its exact KV is read and ranked once. */
  private final class Trials {
    private final ContextRows context;
    private final List<ChunkKey> keys;
    private final int from;
    private final int to;
    private final List<Pruner.Exact> exact;
    private final Map<DropMethod, float[][][]> rankings = new EnumMap<>(DropMethod.class);
    private AttentionFidelity fidelity;

    Trials(ContextRows rows, Context chunks) {
      this.context = rows;
      this.keys = chunks.chunks().stream().map(Found::key).toList();
      this.from = chunks.from();
      this.to = chunks.to();
      this.exact = chunks.chunks().subList(from, to).stream()
          .map(found -> new Pruner.Exact(found.position(), found.key(), found.stored())).toList();
    }

    double quality(ChunkKey root, Encoding encoding) {
      Map<ChunkKey, Kept> kept = Map.of();
      if (encoding.dropsTokens()) {
        float[][][] ranking =
            rankings.computeIfAbsent(encoding.dropping(), method -> pruner.rank(exact, method));
        kept = pruner.select(exact, ranking, encoding.retainedPercent());
        if (kept.isEmpty()) {
          return 0; // it cannot be encoded so
        }
      }
      Trial trial = new Trial(shared, encoding, kept);
      return probe.ask(root, keys.getLast(), EncodedLease.asIs(shared, context),
          new EncodedLease(shared, context, keys, from, to, trial)).orElseGet(() -> estimate(trial));
    }

    private double estimate(Trial trial) {
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
          long tokens = (long) keys.size() * shared.plan.layout().chunkTokens();
          all[each.ordinal()] = arena.allocate(tokens * spec.rowBytes(each), 64);
        }
        context.read(layer, all[0], all[1]);
        long bytes = (long) shared.plan.layout().chunkTokens() * spec.rowBytes(half);
        List<MemorySegment> chunks = new ArrayList<>();
        for (int chunk = from; chunk < to; chunk++) {
          MemorySegment dense = all[half.ordinal()].asSlice(chunk * bytes, bytes);
          chunks.add(trial.rows(arena, keys.get(chunk), layer, half, dense));
        }
        return chunks;
      };
    }
  }
}
