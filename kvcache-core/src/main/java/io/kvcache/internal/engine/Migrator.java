package io.kvcache.internal.engine;

import io.kvcache.CacheEvent;
import io.kvcache.Encoding;
import io.kvcache.KvHalf;
import io.kvcache.LayerSpec;
import io.kvcache.internal.engine.Inventory.Resident;
import io.kvcache.internal.engine.Resources.Attempt;
import io.kvcache.internal.engine.Source.Fetched;
import io.kvcache.internal.frame.FrameHeader;
import io.kvcache.internal.frame.FrameReader;
import io.kvcache.internal.frame.FrameWriter;
import io.kvcache.internal.tree.Segment;
import io.kvcache.internal.tree.Stored;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.Deadline;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.MalformedDataException;
import io.kvcache.spi.Move;
import io.kvcache.spi.Placement;
import io.kvcache.spi.TierWrite;
import io.kvcache.spi.VariantClass;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.ReentrantLock;
import java.util.stream.LongStream;

/**
 * Carries out what the policy decides: copy, verify, publish, then delete. Readers are never blocked; a crash at any
 * point leaves the source, the copy, or both. One move at a time.
 */
final class Migrator {
  /** A tier this full is relieved in the background, so that new KV finds room without waiting for a copy. */
  private static final double HIGH_WATERMARK = 0.95;
  private static final double LOW_WATERMARK = 0.90;
  /** Evict whatever the policy says, however recently it was used. */
  static final long EVICT_ANY = Long.MAX_VALUE;

  private final Resources shared;
  private final ReentrantLock oneAtATime = new ReentrantLock();
  private final AtomicBoolean scheduled = new AtomicBoolean();

  Migrator(Resources shared) {
    this.shared = shared;
  }

  /** Has the background look after what the policy wishes, and after full tiers, soon. */
  void wake() {
    if (!shared.closed() && scheduled.compareAndSet(false, true)) {
      try {
        shared.runtime.background().execute(this::work);
      } catch (RejectedExecutionException closing) {
        scheduled.set(false);
      }
    }
  }

  /** As {@link #wake}, and has room made for a reservation that found none. */
  void wakeFor(TierHandle tier, long bytes) {
    tier.wanted.accumulateAndGet(bytes, Math::max);
    wake();
  }

  private void work() {
    scheduled.set(false);
    for (TierHandle tier : shared.tiers) {
      tier.sweep();
      long wanted = tier.wanted.getAndSet(0);
      if (wanted > 0) {
        // A claim failed for lack of room: what is free as the tier counts may be scattered, or of another kind.
        free(tier, wanted);
      }
    }
    for (Move move : shared.inventory.takeWishes()) {
      carryOut(move);
    }
    for (int tier = 0; tier + 1 < shared.tiers.size(); tier++) {
      relieve(shared.tiers.get(tier));
    }
  }

  private void relieve(TierHandle tier) {
    long capacity = tier.usage().capacityBytes();
    long used = tier.usage().usedBytes();
    if (capacity < Long.MAX_VALUE && used > capacity * HIGH_WATERMARK) {
      free(tier, (long) (used - capacity * LOW_WATERMARK));
    }
  }

  private boolean free(TierHandle tier, long bytes) {
    return free(tier, bytes, EVICT_ANY);
  }

  /** Frees room for {@code bytes} in a tier by whatever the policy plans; whether anything was freed. */
  private boolean free(TierHandle tier, long bytes, long usedBefore) {
    boolean freed = false;
    for (Move move : shared.inventory.plan(tier.index, Math.max(1, bytes), usedBefore)) {
      boolean done = carryOut(move);
      if (!done && !shared.closed()
          && move instanceof Move.Transfer(var segment, int from, Placement to, boolean keeps)
          && !keeps) {
        // Where the next tier is broken, or full of what cannot go, this one must not seize up too.
        done = shared.dropLeaf((Segment) segment, shared.tiers.get(from));
      }
      freed |= done;
    }
    return freed;
  }

  private boolean carryOut(Move move) {
    if (shared.closed()) {
      return false;
    }
    return switch (move) {
      case Move.Drop drop -> shared.drop(drop);
      case Move.Transfer(var segment, int from, Placement to, boolean keepSource) ->
          transfer((Segment) segment, from, to, keepSource, EVICT_ANY) > 0;
    };
  }

  /**
   * Copies a segment's chunks, or moves them.
   *
   * @param usedBefore what was last used before this time may be evicted from the target
   * @return chunks that are in the target now and were not before, or are in the source no more
   */
  int transfer(Segment segment, int from, Placement to, boolean keepSource, long usedBefore) {
    oneAtATime.lock();
    try {
      List<Resident> chunks = shared.inventory.beginMove(segment);
      if (chunks.isEmpty()) {
        return 0;
      }
      try {
        List<Resident> there = new ArrayList<>();
        int copied = copyAll(chunks, from, to, usedBefore, there);
        List<EntryId> left =
            keepSource ? List.of() : shared.inventory.vacate(there, from, leaving(from, to), true);
        shared.tiers.get(from).discard(left);
        if (copied > 0) {
          shared.events.accept(new CacheEvent.Moved(shared.tiers.get(from).name(),
              shared.tiers.get(to.tier()).name(), shared.codecs.name(to.encoding()), copied,
              left.isEmpty()));
        }
        return Math.max(copied, left.size());
      } finally {
        List<EntryId> removed = shared.inventory.endMove(segment, chunks);
        shared.tiers.forEach(tier -> tier.discard(removed));
      }
    } finally {
      oneAtATime.unlock();
    }
  }

  /** What of the source goes: all, but in place not what was just put there. */
  private Set<VariantClass> leaving(int from, Placement to) {
    return to.tier() == from
        ? EnumSet.complementOf(EnumSet.of(shared.codecs.variantClass(to.encoding())))
        : EnumSet.allOf(VariantClass.class);
  }

  /** As {@link #settle}, but not for ever: a medium may hang. */
  void settleWithin(long nanos) {
    try {
      if (oneAtATime.tryLock(nanos, TimeUnit.NANOSECONDS)) {
        oneAtATime.unlock();
      }
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /** Waits until no move is under way: entries written by one that started before are then published or gone. */
  void settle() {
    oneAtATime.lock();
    oneAtATime.unlock();
  }

  /** Copies chunks from the first on, as far as it goes; adds those that are in the target then to {@code there}. */
  private int copyAll(List<Resident> chunks, int from, Placement to, long usedBefore, List<Resident> there) {
    int copied = 0;
    for (Resident chunk : chunks) {
      Stored source = best(chunk, from);
      if (source == null || !shared.codecs.supports(source.encoding())) {
        continue;
      }
      Encoding encoding = shared.codecs.reencodable(source.encoding(), to.encoding())
          ? to.encoding()
          : source.encoding();
      boolean present =
          chunk.stored().stream().anyMatch(stored -> suffices(stored, from, to.tier(), encoding));
      if (!present) {
        if (!shared.inventory.beginCopy(chunk.key())) {
          continue;
        }
        try {
          if (shared.closed() || !copy(chunk, source, new Placement(to.tier(), encoding), usedBefore)) {
            return copied;
          }
        } finally {
          shared.inventory.endCopy(chunk.key());
        }
        copied++;
      }
      there.add(chunk);
    }
    return copied;
  }

  /** Whether an entry is as good as the one a move would make; exact bytes are, however encoded, but not in place. */
  private boolean suffices(Stored stored, int from, int tier, Encoding encoding) {
    return stored.tier() == tier && (stored.encoding().equals(encoding)
        || (tier != from && shared.codecs.supports(stored.encoding()) && shared.codecs.exact(encoding)
            && shared.codecs.exact(stored.encoding())));
  }

  private static Stored best(Resident chunk, int tier) {
    Stored best = null;
    for (Stored stored : chunk.stored()) {
      if (stored.tier() == tier && (best == null || stored.variantClass() == VariantClass.FULL)) {
        best = stored;
      }
    }
    return best;
  }

  private boolean copy(Resident chunk, Stored stored, Placement to, long usedBefore) {
    EntryId id = new EntryId(chunk.key(), stored.variantClass());
    try (Source source = Source.open(shared, id, stored)) {
      if (source == null) {
        shared.missing(chunk.position(), id, stored);
        return false;
      }
      Stored copy = stored.encoding().equals(to.encoding())
          ? copyVerbatim(chunk, source, to, usedBefore)
          : encode(chunk, source, to, usedBefore);
      if (copy == null) {
        return false;
      }
      return shared.inventory.place(chunk.position(), copy);
    } catch (MalformedDataException e) {
      shared.corrupt(chunk.position(), id, stored, e);
      return false;
    }
  }

  /** Copies a frame as it is, each part verified on the way. */
  private Stored copyVerbatim(Resident chunk, Source source, Placement to, long usedBefore)
      throws MalformedDataException {
    try (Parts parts = new Parts(chunk, source)) {
      if (!parts.read(0)) {
        return null;
      }
      FrameReader reader = source.reader();
      long[] bytes = new long[reader.header().parts()];
      for (int part = 0; part < bytes.length; part++) {
        bytes[part] = reader.header().partBytes(part);
      }
      // Making room may take buffers of its own.
      parts.giveBack();
      TierHandle tier = shared.tiers.get(to.tier());
      Optional<TierWrite> claimed = claim(tier, chunk, source.stored(), source.id(), bytes, usedBefore);
      if (claimed.isEmpty()) {
        return null;
      }
      try (TierWrite write = claimed.get()) {
        reader.header().copyTo(write.part(0));
        for (int part = 1; part < bytes.length; part++) {
          if (!parts.read(part)) {
            return null;
          }
          reader.verifyPart(parts.segment(), part);
          MemorySegment.copy(parts.segment(), 0, write.part(part), 0, bytes[part]);
        }
        long total = LongStream.of(bytes).sum();
        boolean committed = tier.commit(() -> commit(write, bytes, total));
        return committed
            ? new Stored(to.tier(), to.encoding(), source.id().variantClass(), source.stored().generation(),
                total)
            : null;
      }
    }
  }

  private static long commit(TierWrite write, long[] bytes, long total) throws IOException {
    write.commit(bytes);
    return total;
  }

  /** Encodes anew, from exact bytes. */
  private Stored encode(Resident chunk, Source source, Placement to, long usedBefore)
      throws MalformedDataException {
    Compressor compressor = shared.codecs.get(to.encoding().codec());
    EntryId id = new EntryId(chunk.key(), shared.codecs.variantClass(to.encoding()));
    boolean lossy = id.variantClass() == VariantClass.SERVING;
    long generation = lossy ? shared.nextGeneration() : source.stored().generation();
    try (Parts parts = new Parts(chunk, source)) {
      if (!parts.read(0)) {
        return null;
      }
      FrameHeader parent = source.reader().header();
      // Making room may take buffers of its own.
      parts.giveBack();
      long[] most = shared.plan.maxPartBytes(compressor, parent.scored());
      Stored planned =
          new Stored(to.tier(), to.encoding(), id.variantClass(), generation, LongStream.of(most).sum());
      TierHandle tier = shared.tiers.get(to.tier());
      Optional<TierWrite> claimed = claim(tier, chunk, planned, id, most, usedBefore);
      if (claimed.isEmpty()) {
        return null;
      }
      try (FrameWriter writer = new FrameWriter(shared.plan, compressor, claimed.get())) {
        if (!encodeParts(parts, source.reader(), writer)) {
          return null;
        }
        writer.requireContentOf(parent);
        FrameHeader.Fields fields = new FrameHeader.Fields(id, generation, chunk.root(), chunk.previous(),
            chunk.position().chunk(), to.encoding(), compressor.parameters(),
            shared.runtime.wallClock().millis(), parent.expiryMillis(),
            lossy ? source.stored().generation() : parent.parentGeneration());
        long[] bytes = new long[1];
        boolean committed = tier.commit(() -> bytes[0] = writer.commit(fields));
        return committed ? new Stored(to.tier(), to.encoding(), id.variantClass(), generation, bytes[0])
            : null;
      }
    }
  }

  /** Gives all that a source holds to a writer; false when a part or a buffer cannot be had. */
  private boolean encodeParts(Parts parts, FrameReader reader, FrameWriter writer)
      throws MalformedDataException {
    try (Staging.Buffer scratch = shared.moverStaging.take(Deadline.never())) {
      if (scratch == null) {
        return false;
      }
      for (int layer = 0; layer < shared.plan.layers(); layer++) {
        if (!parts.read(shared.plan.partOf(layer))) {
          return false;
        }
        encodeLayer(reader, parts.segment(), layer, scratch.segment(), writer);
      }
    }
    if (!reader.header().scored().isEmpty()) {
      if (!parts.read(shared.plan.parts())) {
        return false;
      }
      writer.scores(reader.scores(parts.segment()));
    }
    return true;
  }

  private void encodeLayer(FrameReader reader, MemorySegment part, int layer, MemorySegment scratch,
      FrameWriter writer) throws MalformedDataException {
    LayerSpec spec = shared.plan.layout().layer(layer);
    for (KvHalf half : KvHalf.values()) {
      long bytes = (long) spec.rowBytes(half) * shared.plan.layout().chunkTokens();
      MemorySegment plain = scratch.asSlice(0, bytes);
      reader.layer(part, layer).decode(half, plain);
      writer.encode(layer, half, plain);
    }
  }

  private Optional<TierWrite> claim(TierHandle tier, Resident chunk, Stored stored, EntryId id, long[] bytes,
      long usedBefore) {
    byte[] note = shared.inventory.note(chunk, stored, shared.runtime.wallClock().millis()).encode();
    Attempt attempt = shared.create(tier, id, note, bytes, usedBefore);
    if (attempt.lacksRoom() && tier.index + 1 < shared.tiers.size()
        && free(tier, LongStream.of(bytes).sum(), usedBefore)) {
      attempt = shared.create(tier, id, note, bytes, usedBefore);
    }
    return attempt.write();
  }

  /** The parts of a source, one at a time. */
  private final class Parts implements AutoCloseable {
    private static final int NONE = -1;

    private final Resident chunk;
    private final Source source;
    private int number = NONE;
    private MemorySegment segment;
    private Fetched fetched;

    Parts(Resident chunk, Source source) {
      this.chunk = chunk;
      this.source = source;
    }

    /** Gets a part; false when it cannot be had. */
    boolean read(int part) throws MalformedDataException {
      if (number == part) {
        return true;
      }
      giveBack();
      if (source.inPlace()) {
        segment = source.part(part);
      } else {
        Staging.Buffer buffer = shared.moverStaging.take(Deadline.never());
        if (buffer == null) {
          return false;
        }
        fetched = source.fetch(part, buffer, Deadline.never());
        if (fetched.malformed() != null) {
          throw fetched.malformed();
        }
        if (fetched.problem() == Source.Problem.MISSING) {
          shared.missing(chunk.position(), source.id(), source.stored());
        }
        if (fetched.problem() != null) {
          return false;
        }
        segment = fetched.buffer().segment();
      }
      number = part;
      return true;
    }

    MemorySegment segment() {
      return segment;
    }

    /** Gives the buffer back; the next {@link #read} gets one again. */
    void giveBack() {
      number = NONE;
      if (fetched != null) {
        fetched.close();
        fetched = null;
      }
    }

    @Override
    public void close() {
      giveBack();
    }
  }
}
