package io.kvcache.internal.engine;

import io.kvcache.ChunkKey;
import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.KvControl.Profiling;
import io.kvcache.KvHalf;
import io.kvcache.KvLayout;
import io.kvcache.QualityProbe;
import io.kvcache.internal.engine.Insights.Context;
import io.kvcache.internal.engine.Inventory.Found;
import io.kvcache.internal.prune.Kept;
import io.kvcache.internal.quality.AttentionFidelity;
import io.kvcache.internal.tree.Segment;
import io.kvcache.internal.tree.Stored;
import io.kvcache.spi.Deadline;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Measures what lossy encodings do to segments, one at a time, when the engine has time for it (EvicPress, section
 * 4.3): the quality of a whole context with just one segment of it lossy, for every encoding the policy may choose.
 */
final class Profiler {
  private final Resources shared;
  private final ProbeCaller probe;
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
  }

  /**
   * Measures until the time is over, nothing waits, or the thread is interrupted. One call at a time does so; another
   * one returns at once. What cannot be read waits for the next call.
   */
  Profiling profile(Duration budget) {
    int done = 0;
    if (oneAtATime.tryLock()) {
      List<Segment> unreadable = new ArrayList<>();
      try {
        Deadline deadline = Deadline.after(CacheEngine.nanos(budget), shared.runtime.nanoTime());
        while (!stopped(deadline) && next()) {
          Work work = unfinished;
          unfinished = null; // what fails is not tried for ever
          switch (measure(work, deadline)) {
            case MEASURED -> {
              shared.counters.profiled.increment();
              done++;
            }
            case STOPPED -> unfinished = work;
            case UNREADABLE -> unreadable.add(work.segment);
            case ANOTHER -> {
            }
          }
        }
      } finally {
        unreadable.forEach(segment -> shared.inventory.insights().unreadable(segment, this::known));
        oneAtATime.unlock();
      }
    }
    return new Profiling(done,
        shared.inventory.insights().waitingForProfile() + (unfinished == null ? 0 : 1));
  }

  private boolean stopped(Deadline deadline) {
    return deadline.expired() || shared.closed() || Thread.currentThread().isInterrupted();
  }

  private boolean known(Stored stored) {
    return shared.codecs.supports(stored.encoding());
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

  /** What became of measuring a segment. */
  private enum Outcome {
    MEASURED,
    /** For now: it is to be gone on with. */
    STOPPED,
    /** Some of it, or of what it follows; that may pass. */
    UNREADABLE,
    /** It was split, extended or removed meanwhile; what it is now waits by itself. */
    ANOTHER
  }

  /** Goes on measuring a segment. */
  private Outcome measure(Work work, Deadline deadline) {
    Context context = shared.inventory.insights().contextOf(work.segment,
        stored -> known(stored) && shared.usable(stored)
            && shared.qualities.probed().accepts(stored.encoding()));
    if (context == null) {
      return Outcome.UNREADABLE;
    }
    try (ContextRows rows =
        new ContextRows(shared, new Lease(shared, context.chunks(), Deadline.never(), false));
        Trials trials = new Trials(rows, context)) {
      if (context.to() - context.from() != work.chunks) {
        return Outcome.ANOTHER;
      }
      while (work.next < candidates().size()) {
        if (stopped(deadline)) {
          return Outcome.STOPPED;
        }
        double quality = trials.quality(work.segment, candidates().get(work.next));
        if (shared.closed() || Thread.currentThread().isInterrupted()) {
          return Outcome.STOPPED; // and what was read meanwhile may have been cut short
        }
        if (Double.isNaN(quality)
            || rows.tokens() < context.to() * shared.plan.layout().chunkTokens()) {
          // What could not be read was left out of it, or was missing from the start.
          return Outcome.UNREADABLE;
        }
        work.lossPerChunk[work.next++] = (float) ((1 - quality) / work.chunks);
      }
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      return Outcome.STOPPED;
    }
    return shared.inventory.insights().profiled(work.segment, work.chunks, work.lossPerChunk)
        ? Outcome.MEASURED
        : Outcome.ANOTHER;
  }

  /** What is tried on one segment; what several encodings need of its exact KV is read and ranked once. */
  private final class Trials implements AutoCloseable {
    private final ContextRows context;
    private final List<ChunkKey> keys;
    private final int from;
    private final int to;
    private final List<Pruner.Exact> exact;
    private final Map<DropMethod, float[][][]> rankings = new EnumMap<>(DropMethod.class);
    /** Not the mover's: it counts on having its buffers to itself. */
    private final Staging staging = shared.moverStaging.single();
    private final Pruner pruner = new Pruner(shared, staging);
    private AttentionFidelity fidelity;

    Trials(ContextRows rows, Context chunks) {
      this.context = rows;
      this.keys = chunks.chunks().stream().map(Found::key).toList();
      this.from = chunks.from();
      this.to = chunks.to();
      this.exact = chunks.chunks().subList(from, to).stream()
          .map(found -> new Pruner.Exact(found.position(), found.key(), found.stored())).toList();
    }

    /** NaN when it cannot be told because something could not be read. */
    double quality(Segment segment, Encoding encoding) throws InterruptedException {
      Map<ChunkKey, Kept> kept = Map.of();
      if (encoding.dropsTokens()) {
        float[][][] ranking =
            rankings.computeIfAbsent(encoding.dropping(), method -> Tasks.onIo(shared.runtime,
                () -> pruner.rank(exact, method)));
        kept = pruner.select(exact, ranking, encoding);
        if (kept.isEmpty()) {
          // It cannot be encoded so, unless there are scores that just could not be read.
          return shared.inventory.insights().hasScores(segment, encoding.dropping()) ? Double.NaN : 0;
        }
      }
      Trial trial = new Trial(shared, encoding, kept);
      OptionalDouble told = probe.ask(segment.root(), keys.getLast(), EncodedLease.asIs(shared, context),
          new EncodedLease(shared, context, keys, from, to, trial));
      double quality = told.isPresent() || trial.failed() ? told.orElse(0) : estimate(trial);
      if (trial.failed()) {
        shared.counters.pluginFailures.increment();
        return 0;
      }
      return quality;
    }

    private double estimate(Trial trial) {
      KvLayout layout = shared.plan.layout();
      if (!AttentionFidelity.supports(layout)) {
        return shared.codecs.nominalQuality(trial.encoding());
      }
      if (fidelity == null) {
        try (TrialRows rows = new TrialRows(new Trial(shared, Encoding.RAW, Map.of()))) {
          fidelity = new AttentionFidelity(layout, rows);
        }
      }
      try (TrialRows rows = new TrialRows(trial)) {
        return Math.clamp(fidelity.estimate(rows), 0, 1);
      }
    }

    @Override
    public void close() {
      staging.close();
    }

    /** What a trial makes of the segment, a layer at a time: its heads are asked for one after the other. */
    private final class TrialRows implements AttentionFidelity.Rows, AutoCloseable {
      private final Trial trial;
      private final Arena scratch = Arena.ofConfined();
      private final MemorySegment[] all = new MemorySegment[2];
      private final Map<KvHalf, List<MemorySegment>> chunks = new EnumMap<>(KvHalf.class);
      private Arena encoded = Arena.ofConfined();
      private int layer = -1;

      TrialRows(Trial trial) {
        this.trial = trial;
        // The lease may shrink meanwhile; what was measured then is not used.
        long tokens = (long) keys.size() * shared.plan.layout().chunkTokens();
        for (KvHalf half : KvHalf.values()) {
          long most =
              shared.plan.layout().layers().stream().mapToLong(spec -> spec.rowBytes(half)).max().orElse(0);
          all[half.ordinal()] = scratch.allocate(tokens * most, 64);
        }
      }

      @Override
      public List<MemorySegment> chunks(int wanted, KvHalf half) {
        if (layer != wanted) {
          layer = wanted;
          chunks.clear();
          encoded.close();
          encoded = Arena.ofConfined();
          context.read(layer, all[0], all[1]);
        }
        return chunks.computeIfAbsent(half, this::encode);
      }

      private List<MemorySegment> encode(KvHalf half) {
        long bytes =
            (long) shared.plan.layout().chunkTokens() * shared.plan.layout().layer(layer).rowBytes(half);
        List<MemorySegment> rows = new ArrayList<>();
        for (int chunk = from; chunk < to; chunk++) {
          MemorySegment dense = all[half.ordinal()].asSlice(chunk * bytes, bytes);
          rows.add(trial.rows(encoded, keys.get(chunk), layer, half, dense));
        }
        return rows;
      }

      @Override
      public void close() {
        encoded.close();
        scratch.close();
      }
    }
  }
}
