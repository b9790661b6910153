package io.kvcache.internal.engine;

import io.kvcache.CacheEvent;
import io.kvcache.ChunkKey;
import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.KvHalf;
import io.kvcache.KvLayout;
import io.kvcache.KvReservation;
import io.kvcache.LayerSpec;
import io.kvcache.internal.engine.Quotas.Charge;
import io.kvcache.internal.engine.Quotas.Place;
import io.kvcache.internal.engine.Resources.Attempt;
import io.kvcache.internal.frame.ChunkScores;
import io.kvcache.internal.frame.EntryNote;
import io.kvcache.internal.frame.EntryNote.Profile;
import io.kvcache.internal.frame.FrameHeader;
import io.kvcache.internal.frame.FrameWriter;
import io.kvcache.internal.tree.Stored;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.Placement;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.Iterator;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Supplier;
import java.util.stream.LongStream;

/** Claimed chunks of one prompt, being written. */
final class Reservation implements KvReservation {
  private final Resources shared;
  private final Claim claim;
  private final Runnable afterwards;
  private final TierHandle tier;
  private final Encoding encoding;
  private final Compressor compressor;
  private final List<FrameWriter> writers = new ArrayList<>();
  private final List<Long> generations = new ArrayList<>();
  private final long quotaBytes;
  private final BitSet begun = new BitSet();
  private final BitSet written = new BitSet();
  /** What was charged to the namespace; null as long as its quota has no room. */
  private Charge charge;
  private boolean lacksRoom;
  private boolean over;

  /**
   * A claim to be filled.
   *
   * @param quotaBytes what the namespace may have in a tier
   * @param afterwards run once its chunks are visible, when the policy wants something done with them
   */
  Reservation(Resources shared, Claim claim, long quotaBytes, Runnable afterwards) {
    this.shared = shared;
    this.quotaBytes = quotaBytes;
    this.afterwards = afterwards;
    this.claim = claim;
    Placement placement = claim.placement().orElseThrow();
    // Which tokens matter can be told only when all are there: what drops some is applied after the commit.
    this.encoding = placement.encoding().dropsTokens() ? Encoding.RAW : placement.encoding();
    this.compressor = shared.codecs.get(encoding.codec());
    this.tier = firstToHold(placement.tier());
    shared.counters.openReservations.incrementAndGet();
  }

  /** Where it goes. */
  TierHandle tier() {
    return tier;
  }

  /** A prompt larger than a tier goes to the next one that can hold it: the policy does not know how long it is raw. */
  private TierHandle firstToHold(int wanted) {
    for (int index = wanted; index < shared.tiers.size(); index++) {
      if (fits(shared.tiers.get(index))) {
        return shared.tiers.get(index);
      }
    }
    return shared.tiers.get(wanted);
  }

  /**
   * Whether there could be room at all: in the tier if it held nothing else, in the quota if the namespace had nothing
   * there but what these chunks follow.
   */
  boolean fits() {
    return fits(tier)
        && (charge != null || shared.inventory.quotas().couldHold(place(), mostBytes(), quotaBytes,
            claim.keys().subList(0, claim.first())));
  }

  private Place place() {
    return new Place(claim.root(), tier.index);
  }

  private long mostBytes() {
    return chunkBytes() * missing();
  }

  private boolean fits(TierHandle candidate) {
    return chunkBytes() <= candidate.usage().capacityBytes() / missing();
  }

  private long chunkBytes() {
    return LongStream.of(mostPartBytes()).sum();
  }

  private long[] mostPartBytes() {
    return shared.plan.maxPartBytes(compressor, scored());
  }

  /** What is not exact cannot be pruned later: it needs no scores. */
  private Set<DropMethod> scored() {
    return shared.codecs.exact(encoding) ? claim.scores().methods() : Set.of();
  }

  /** Claims room for all chunks: reserved when there is, else full, or quota. */
  Status claim() {
    if (!fits(tier)) {
      return Status.FULL;
    }
    if (charge == null) {
      charge = shared.inventory.quotas().charge(place(), mostBytes(), quotaBytes);
    }
    if (charge == null) {
      return Status.QUOTA;
    }
    return Tasks.onTier(shared.runtime, tier, this::claimRoom) ? Status.RESERVED : Status.FULL;
  }

  /** Claims room for the chunks still without; whether all have it. */
  private boolean claimRoom() {
    shared.discardExpired(tier); // what these replace may be among it
    long[] partBytes = mostPartBytes();
    while (writers.size() < claim.missing().length) {
      int index = writers.size();
      FrameWriter writer = null;
      long generation = shared.nextGeneration();
      if (claim.missing()[index]) {
        int chunk = claim.first() + index;
        EntryNote note = new EntryNote(claim.root(), previous(chunk), chunk, generation, encoding,
            chunkBytes(), shared.runtime.wallClock().millis(), 1, 1, writtenExpiry(), scored(), Profile.NONE);
        Attempt attempt = shared.create(tier, id(chunk), note.encode(), partBytes, Migrator.EVICT_ANY);
        lacksRoom = attempt.lacksRoom();
        if (attempt.write().isEmpty()) {
          return false;
        }
        writer = new FrameWriter(shared.plan, compressor, attempt.write().get());
        if (!scored().isEmpty()) {
          KvLayout layout = shared.plan.layout();
          writer.scores(ChunkScores.of(layout, claim.scores(), chunk * layout.chunkTokens()));
        }
      }
      writers.add(writer);
      generations.add(generation);
    }
    return true;
  }

  private long writtenExpiry() {
    return claim.expiryMillis() == Stored.NEVER ? 0 : claim.expiryMillis();
  }

  /** Asks for the room that {@link #claim} did not find, if moving others gives it; once closed, for all of it. */
  void wantRoom(Migrator migrator) {
    if (charge == null) {
      shared.inventory.quotas().want(place(), mostBytes());
      migrator.wake();
    }
    if (!lacksRoom) {
      return;
    }
    int claimed = 0;
    for (FrameWriter writer : over ? List.<FrameWriter>of() : writers) {
      claimed += writer == null ? 0 : 1;
    }
    migrator.wakeFor(tier, chunkBytes() * (missing() - claimed));
  }

  private int missing() {
    int count = 0;
    for (boolean each : claim.missing()) {
      count += each ? 1 : 0;
    }
    return count;
  }

  private EntryId id(int chunk) {
    return new EntryId(claim.keys().get(chunk), shared.codecs.variantClass(encoding));
  }

  private ChunkKey previous(int chunk) {
    return chunk == 0 ? claim.root() : claim.keys().get(chunk - 1);
  }

  @Override
  public Status status() {
    return Status.RESERVED;
  }

  @Override
  public int firstToken() {
    return claim.first() * shared.plan.layout().chunkTokens();
  }

  @Override
  public int tokens() {
    return claim.missing().length * shared.plan.layout().chunkTokens();
  }

  @Override
  public void write(int layer, MemorySegment keyRows, MemorySegment valueRows) {
    LayerSpec spec = shared.plan.layout().layer(Objects.checkIndex(layer, shared.plan.layers()));
    requireBytes(keyRows, (long) tokens() * spec.keyRowBytes(), "keys");
    requireBytes(valueRows, (long) tokens() * spec.valueRowBytes(), "values");
    synchronized (written) {
      requireUnfinished();
      if (begun.get(layer)) {
        throw new IllegalArgumentException("layer " + layer + " was written already");
      }
      begun.set(layer);
    }
    boolean done = false;
    try {
      encode(layer, spec, keyRows, valueRows);
      done = true;
    } finally {
      synchronized (written) {
        written.set(layer, done);
        begun.set(layer, done);
      }
    }
  }

  private void encode(int layer, LayerSpec spec, MemorySegment keyRows, MemorySegment valueRows) {
    int chunkTokens = shared.plan.layout().chunkTokens();
    long keyBytes = (long) chunkTokens * spec.keyRowBytes();
    long valueBytes = (long) chunkTokens * spec.valueRowBytes();
    for (int index = 0; index < writers.size(); index++) {
      FrameWriter writer = writers.get(index);
      if (writer != null) {
        writer.encode(layer, KvHalf.KEYS, keyRows.asSlice(index * keyBytes, keyBytes));
        writer.encode(layer, KvHalf.VALUES, valueRows.asSlice(index * valueBytes, valueBytes));
      }
    }
  }

  private static void requireBytes(MemorySegment segment, long expected, String name) {
    if (segment.byteSize() != expected) {
      throw new IllegalArgumentException(
          name + " have " + segment.byteSize() + " bytes, must be " + expected);
    }
  }

  private void requireUnfinished() {
    shared.requireOpen();
    if (over) {
      throw new IllegalStateException("the reservation is committed or closed");
    }
  }

  @Override
  public boolean commit() {
    synchronized (written) {
      requireUnfinished();
      int layers = shared.plan.layers();
      if (written.cardinality() < layers) {
        throw new IllegalStateException(
            "layer " + written.nextClearBit(0) + " of " + layers + " was not written before the commit");
      }
      over = true;
    }
    try {
      return commitAndPublish();
    } finally {
      release();
    }
  }

  private boolean commitAndPublish() {
    if (!shared.inventory.beginCommit(claim)) {
      return false;
    }
    boolean published = false;
    try {
      List<Stored> stored = tier.storing(this::commitEntriesAndPublish);
      published = stored != null;
      if (published) {
        told(stored);
        if (shared.inventory.wishesWaiting()) {
          afterwards.run();
        }
      }
    } finally {
      if (!published) {
        withdraw();
      }
    }
    return published;
  }

  private void told(List<Stored> stored) {
    int chunks = (int) stored.stream().filter(Objects::nonNull).count();
    long bytes = stored.stream().filter(Objects::nonNull).mapToLong(Stored::bytes).sum();
    shared.counters.storedTokens.add((long) chunks * shared.plan.layout().chunkTokens());
    shared.events.accept(new CacheEvent.Stored(tier.name(), chunks, bytes));
  }

  /** The entries, or null when the tier failed, or they are not wanted any more. */
  private List<Stored> commitEntriesAndPublish() {
    List<Stored> stored = commitEntries();
    return stored != null && shared.inventory.publish(claim, stored, charge) ? stored : null;
  }

  /** The entries, or null when the tier failed. */
  private List<Stored> commitEntries() {
    AtomicBoolean failed = new AtomicBoolean();
    List<Supplier<Stored>> steps = new ArrayList<>();
    for (int index = 0; index < writers.size(); index++) {
      FrameWriter writer = writers.get(index);
      int chunk = claim.first() + index;
      long generation = generations.get(index);
      if (writer != null) {
        steps.add(() -> {
          Stored entry = failed.get() ? null : commitEntry(writer, chunk, generation);
          failed.compareAndSet(false, entry == null);
          return entry;
        });
      }
    }
    Iterator<Stored> committed = Tasks.allOnTier(shared.runtime, tier, steps).iterator();
    return failed.get() ? null
        : writers.stream().map(writer -> writer == null ? null : committed.next()).toList();
  }

  private Stored commitEntry(FrameWriter writer, int chunk, long generation) {
    EntryId id = id(chunk);
    FrameHeader.Fields fields = FrameHeader.Fields.original(id, generation, claim.root(), previous(chunk),
        chunk, encoding, compressor.parameters(), shared.runtime.wallClock().millis(), writtenExpiry());
    long[] bytes = new long[1];
    boolean committed = tier.commit(() -> bytes[0] = writer.commit(fields));
    return committed
        ? new Stored(tier.index, encoding, id.variantClass(), generation, bytes[0], claim.expiryMillis())
        : null;
  }

  /** Takes back entries of which some were committed already: all or nothing. */
  private void withdraw() {
    List<EntryId> ids = new ArrayList<>();
    for (int index = 0; index < writers.size(); index++) {
      if (writers.get(index) != null) {
        ids.add(id(claim.first() + index));
      }
    }
    Tasks.onTier(shared.runtime, tier, () -> {
      tier.withdraw(ids);
      return null;
    });
  }

  private void release() {
    writers.stream().filter(Objects::nonNull).forEach(FrameWriter::close);
    if (charge != null) {
      charge.release();
    }
    shared.inventory.unclaim(claim);
    shared.counters.openReservations.decrementAndGet();
  }

  @Override
  public void close() {
    synchronized (written) {
      if (over) {
        return;
      }
      over = true;
    }
    release();
  }

  /** The answer when nothing is reserved. */
  record Unreserved(Status status) implements KvReservation {
    @Override
    public int firstToken() {
      return 0;
    }

    @Override
    public int tokens() {
      return 0;
    }

    @Override
    public void write(int layer, MemorySegment keys, MemorySegment values) {}

    @Override
    public boolean commit() {
      return false;
    }

    @Override
    public void close() {}
  }
}
