package io.kvcache.internal.engine;

import io.kvcache.Encoding;
import io.kvcache.Fidelity;
import io.kvcache.KvHalf;
import io.kvcache.KvLease;
import io.kvcache.LayerSpec;
import io.kvcache.internal.engine.Inventory.Found;
import io.kvcache.internal.engine.Source.Fetched;
import io.kvcache.internal.frame.FrameReader;
import io.kvcache.internal.tree.Segment;
import io.kvcache.internal.tree.Stored;
import io.kvcache.spi.Deadline;
import io.kvcache.spi.DelayLine;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Objects;
import java.util.Optional;

/** Chunks held for one reader. */
final class Lease implements KvLease {
  private static final int VIEW_ALIGNMENT = 64;

  private final Resources shared;
  private final List<Found> chunks;
  private final List<Source> sources = new ArrayList<>();
  private final Segment held;
  private final Deadline deadline;
  private final PartLoads loads;
  private final int chunkTokens;
  private final int leasedChunks;
  private final boolean counted;
  private final LoadTally observed = new LoadTally();
  private volatile int usable;
  private boolean closed;

  /** Takes over what the look-up holds; chunks whose memory is gone by now end the lease before them. */
  Lease(Resources shared, List<Found> chunks, Deadline deadline) {
    this(shared, chunks, deadline, true);
  }

  /** As above; one that is not {@code counted} is of the cache itself, and of no interest to statistics. */
  Lease(Resources shared, List<Found> chunks, Deadline deadline, boolean counted) {
    this.counted = counted;
    this.shared = shared;
    this.chunks = chunks;
    this.deadline = deadline;
    this.chunkTokens = shared.plan.layout().chunkTokens();
    this.held = chunks.isEmpty() ? null : chunks.getLast().position().below();
    for (Found found : chunks) {
      EntryId id = new EntryId(found.key(), found.stored().variantClass());
      Source source = Source.open(shared, id, found.stored());
      if (source == null) {
        shared.missing(found.position(), id, found.stored());
        break;
      }
      sources.add(source);
    }
    this.usable = sources.size();
    this.leasedChunks = usable;
    this.loads = new PartLoads(shared, sources, deadline);
    if (counted) {
      countLeased();
      shared.counters.openLeases.incrementAndGet();
    }
  }

  private void countLeased() {
    int first = 0;
    for (int chunk = 1; chunk <= leasedChunks; chunk++) {
      Stored stored = sources.get(first).stored();
      if (chunk == leasedChunks || !alike(stored, sources.get(chunk).stored())) {
        shared.counters.leased(stored.tier(), stored.encoding(), chunk - first);
        first = chunk;
      }
    }
  }

  @Override
  public int tokens() {
    return usable * chunkTokens;
  }

  @Override
  public Fidelity fidelity() {
    Encoding worst = Encoding.RAW;
    for (Source source : sources.subList(0, usable)) {
      Encoding encoding = source.stored().encoding();
      worst = shared.codecs.nominalQuality(encoding) < shared.codecs.nominalQuality(worst) ? encoding : worst;
    }
    return shared.codecs.fidelity(worst);
  }

  @Override
  public List<Run> runs() {
    List<Run> runs = new ArrayList<>();
    int first = 0;
    long bytes = 0;
    for (int chunk = 0; chunk < usable; chunk++) {
      Stored stored = sources.get(chunk).stored();
      bytes += stored.bytes();
      boolean last = chunk + 1 == usable || !alike(stored, sources.get(chunk + 1).stored());
      if (last) {
        Encoding encoding = stored.encoding();
        runs.add(new Run(first * chunkTokens, (chunk + 1 - first) * chunkTokens,
            shared.tiers.get(stored.tier()).name(), shared.codecs.name(encoding),
            shared.codecs.fidelity(encoding), bytes));
        first = chunk + 1;
        bytes = 0;
      }
    }
    return runs;
  }

  private static boolean alike(Stored one, Stored other) {
    return one.tier() == other.tier() && one.encoding().equals(other.encoding());
  }

  @Override
  public int read(int layer, MemorySegment keys, MemorySegment values) {
    LayerSpec spec = shared.plan.layout().layer(Objects.checkIndex(layer, shared.plan.layers()));
    long keyBytes = (long) chunkTokens * spec.keyRowBytes();
    long valueBytes = (long) chunkTokens * spec.valueRowBytes();
    requireRoom(keys, keyBytes * usable, "keys");
    requireRoom(values, valueBytes * usable, "values");
    int end = 0;
    for (int start = 0; start < usable; start = end) {
      end = start + 1;
      while (end < usable && pruned(end) == pruned(start)) {
        end++;
      }
      if (!pruned(start)) {
        forEachChunk(layer, start, end, (chunk, reader, part) -> {
          FrameReader.Layer from = reader.layer(part, layer);
          from.decode(KvHalf.KEYS, keys.asSlice(chunk * keyBytes, keyBytes));
          from.decode(KvHalf.VALUES, values.asSlice(chunk * valueBytes, valueBytes));
          return from.storedBytes();
        });
      }
    }
    return tokens();
  }

  private boolean pruned(int chunk) {
    return sources.get(chunk).stored().encoding().dropsTokens();
  }

  private static void requireRoom(MemorySegment segment, long least, String name) {
    if (segment.byteSize() < least) {
      throw new IllegalArgumentException(
          name + " have " + segment.byteSize() + " bytes, must be at least " + least);
    }
    if (least > 0 && segment.isReadOnly()) {
      throw new IllegalArgumentException(name + " are read-only");
    }
  }

  /** Something done with the part that holds one layer of one chunk; returns the stored bytes it read. */
  private interface Step {
    long take(int chunk, FrameReader reader, MemorySegment part) throws MalformedDataException;
  }

  /** Takes the step for chunks in order; the first that cannot be used ends the lease before it. */
  private void forEachChunk(int layer, int from, int to, Step step) {
    requireOpen();
    int part = shared.plan.partOf(layer);
    boolean again = layer + 1 < shared.plan.layers() && shared.plan.partOf(layer + 1) == part;
    Tally tally = new Tally();
    loads.turnTo(part, from, to);
    for (int chunk = from; chunk < Math.min(to, usable); chunk++) {
      if (deadline.expired() || shared.closed() || !take(chunk, part, to, step, tally)) {
        usable = chunk;
      }
      loads.used(chunk, again);
    }
    tally.close();
    loads.passOver(again, usable >= to && part + 1 < shared.plan.parts(), to);
  }

  /** Counts what a pass over the chunks reads, at once for all chunks that are alike. */
  private final class Tally {
    private Source alike;
    private long bytes;
    /** Waiting for buffers and for the first loads is part of it. */
    private long start = shared.runtime.nanoTime().getAsLong();

    void add(long stored) {
      bytes += stored;
    }

    void turnTo(Source source) {
      if (alike == null || !alike(alike.stored(), source.stored())) {
        if (alike != null) {
          close();
          start = shared.runtime.nanoTime().getAsLong();
        }
        alike = source;
      }
    }

    void close() {
      if (alike != null && bytes > 0) {
        Stored stored = alike.stored();
        if (alike.inPlace()) {
          shared.tiers.get(stored.tier()).bytesRead.add(bytes);
        }
        if (counted) {
          shared.counters.loaded(stored.tier(), stored.encoding(), bytes);
        }
        observed.add(stored.tier(), stored.encoding(), bytes, shared.runtime.nanoTime().getAsLong() - start);
      }
      bytes = 0;
    }
  }

  private boolean take(int chunk, int part, int to, Step step, Tally tally) {
    Source source = sources.get(chunk);
    Found found = chunks.get(chunk);
    try {
      tally.turnTo(source);
      if (source.inPlace()) {
        MemorySegment bytes = source.part(part);
        tally.add(step.take(chunk, source.reader(), bytes));
        return true;
      }
      Fetched fetched = loads.await(chunk, to);
      if (fetched.malformed() != null) {
        throw fetched.malformed();
      }
      if (fetched.problem() == Source.Problem.MISSING) {
        shared.missing(found.position(), source.id(), found.stored());
      }
      if (fetched.problem() != null) {
        return false;
      }
      tally.add(step.take(chunk, source.reader(), fetched.buffer().segment()));
      return true;
    } catch (MalformedDataException e) {
      shared.corrupt(found.position(), source.id(), found.stored(), e);
      return false;
    } catch (IllegalStateException e) {
      // The cache was closed under the lease and its memory is gone: a miss like any other.
      if (!shared.closed()) {
        throw e;
      }
      return false;
    }
  }

  @Override
  public List<KvView> view(Run run, int layer) {
    LayerSpec spec = shared.plan.layout().layer(Objects.checkIndex(layer, shared.plan.layers()));
    int from = firstChunk(run, false);
    int to = from + run.tokens() / chunkTokens;
    List<KvView> views = new ArrayList<>(to - from);
    forEachChunk(layer, from, to, (chunk, reader, part) -> {
      FrameReader.Layer in = reader.layer(part, layer);
      boolean inPlace = sources.get(chunk).inPlace() && reader.raw();
      views.add(new KvView(chunk * chunkTokens, chunkTokens,
          inPlace ? in.stored(KvHalf.KEYS).asReadOnly() : decoded(in, spec, KvHalf.KEYS),
          inPlace ? in.stored(KvHalf.VALUES).asReadOnly() : decoded(in, spec, KvHalf.VALUES)));
      return in.storedBytes();
    });
    return views;
  }

  /** Checks that a run is one of this lease, with or without all its tokens. */
  private int firstChunk(Run run, boolean pruned) {
    int from = run.firstToken() / chunkTokens;
    int to = from + run.tokens() / chunkTokens;
    if (run.firstToken() < 0 || run.tokens() < chunkTokens || to > leasedChunks) {
      throw new IllegalArgumentException(run + " is not a run of this lease of " + leasedChunks + " chunks");
    }
    for (int chunk = from; chunk < to; chunk++) {
      if (pruned(chunk) != pruned) {
        throw new IllegalArgumentException(run + (pruned ? " has all its tokens" : " lacks tokens"));
      }
    }
    return from;
  }

  @Override
  public KvKept kept(Run run, int layer) {
    LayerSpec spec = shared.plan.layout().layer(Objects.checkIndex(layer, shared.plan.layers()));
    int from = firstChunk(run, true);
    KeptRows rows = new KeptRows(spec, layer, from, chunkTokens);
    forEachChunk(layer, from, from + run.tokens() / chunkTokens, (chunk, reader, part) -> {
      FrameReader.Layer in = reader.layer(part, layer);
      rows.add(reader.kept(), in);
      return in.storedBytes();
    });
    return rows.gather();
  }

  /** Decoded views are the exception; the garbage collector frees them, so that closing stays cheap. */
  private MemorySegment decoded(FrameReader.Layer in, LayerSpec spec, KvHalf half)
      throws MalformedDataException {
    MemorySegment decoded = Arena.ofAuto().allocate((long) chunkTokens * spec.rowBytes(half), VIEW_ALIGNMENT);
    in.decode(half, decoded);
    return decoded.asReadOnly();
  }

  @Override
  public Duration loadEstimate() {
    LoadTally planned = new LoadTally();
    for (Source source : sources.subList(0, usable)) {
      planned.add(source.stored().tier(), source.stored().encoding(), source.stored().bytes(), 0);
    }
    double[] seconds = new double[1];
    BitSet begun = new BitSet();
    planned.drain((tier, encoding, bytes, none) -> {
      DelayLine line = shared.delays.load(tier, encoding);
      // What does not depend on the bytes is paid once a request and tier.
      seconds[0] += line.seconds(bytes) - (begun.get(tier) ? line.seconds(0) : 0);
      begun.set(tier);
    });
    return Duration.ofNanos((long) (seconds[0] * 1e9));
  }

  @Override
  public Optional<Duration> recomputeEstimate() {
    return shared.delays.recomputeKnown()
        ? Optional.of(Duration.ofNanos((long) (shared.delays.recompute().seconds(tokens()) * 1e9)))
        : Optional.empty();
  }

  private void requireOpen() {
    if (closed) {
      throw new IllegalStateException("the lease is closed");
    }
  }

  @Override
  public synchronized void close() {
    if (!closed) {
      closed = true;
      try {
        loads.discardAll();
        sources.forEach(Source::close);
      } finally {
        letGo();
      }
      if (counted) {
        tellObserved();
      }
    }
  }

  private void letGo() {
    try {
      if (held != null) {
        shared.inventory.release(held);
      }
    } finally {
      if (counted) {
        shared.counters.openLeases.decrementAndGet();
      }
    }
  }

  /** Last, and at the policy's own risk: whoever closes a lease has nothing to do with a policy that fails. */
  private void tellObserved() {
    try {
      observed.drain(shared::loaded);
    } catch (RuntimeException e) {
      shared.counters.pluginFailures.increment();
    }
  }
}
