package io.kvcache.internal.engine;

import io.kvcache.DropMethod;
import io.kvcache.KvHalf;
import io.kvcache.internal.engine.Inventory.Resident;
import io.kvcache.internal.engine.Quotas.Charge;
import io.kvcache.internal.engine.Quotas.Place;
import io.kvcache.internal.engine.Resources.Attempt;
import io.kvcache.internal.frame.FrameHeader;
import io.kvcache.internal.frame.FrameReader;
import io.kvcache.internal.frame.FrameWriter;
import io.kvcache.internal.prune.Kept;
import io.kvcache.internal.tree.Stored;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.Deadline;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.MalformedDataException;
import io.kvcache.spi.Placement;
import io.kvcache.spi.TierWrite;
import io.kvcache.spi.VariantClass;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.LongStream;

/**
 * Makes one entry of a chunk from another: copied as it is where the encoding stays, else encoded anew. For the mover,
 * one at a time.
 *
 * <p>In place in a tier that is not durable the new entry is made in memory of its own first, and the old one leaves
 * before the new one is stored: so a full tier can be compressed. In a durable tier the new one is stored first, since
 * what a flush has acknowledged is to be there at any time; only where it is too full for that it goes the same way,
 * which for a crash in between is an eviction.
 */
final class Transcoder {
  private final Resources shared;
  private final Resident chunk;
  private final Stored stored;
  private final Placement to;
  private final TierHandle tier;
  private final boolean keepSource;
  private final Kept kept;
  private final Room room;
  /** What was charged to the namespace for the copy. */
  private Charge charge;
  private boolean retired;

  /** Makes room by moving others. */
  interface Room {
    /** What was last used before this time may be evicted from the target. */
    long usedBefore();

    /** Makes room in a tier; whether any was made. */
    boolean make(TierHandle tier, long bytes);

    /** Makes so much room in a namespace's quota; whether there is. */
    boolean make(Place place, long bytes);
  }

  /**
   * A copy to be made.
   *
   * @param stored the entry to make it from
   * @param to where, and how encoded: as the source, or as the source can be
   * @param keepSource whether the source is to stay, unless the copy has its id
   * @param kept the tokens to keep of a source that has all; null to keep what the source has
   */
  Transcoder(Resources shared, Resident chunk, Stored stored, Placement to, boolean keepSource,
      Kept kept, Room room) {
    this.shared = shared;
    this.chunk = chunk;
    this.stored = stored;
    this.to = to;
    this.keepSource = keepSource;
    this.tier = shared.tiers.get(to.tier());
    this.kept = kept;
    this.room = room;
  }

  /** Makes the copy and records it; false when it could not be. */
  boolean run() {
    try {
      return tier.storing(() -> {
        Stored copy = make();
        return copy != null && shared.inventory.place(chunk.position(), copy, charge);
      });
    } finally {
      if (charge != null) {
        charge.release();
      }
    }
  }

  /**
   * Charges the namespace for the copy; false when its quota has no room.
   *
   * @param replaced what of the target is forgotten before the copy is stored
   */
  private boolean charge(long bytes, Set<VariantClass> replaced, boolean makingRoom) {
    long replacedBytes = chunk.stored().stream()
        .filter(each -> each.tier() == to.tier() && replaced.contains(each.variantClass()))
        .mapToLong(Stored::bytes).sum();
    Place place = new Place(chunk.root(), to.tier());
    charge = shared.inventory.quotas().chargeMove(place, bytes, replacedBytes);
    if (charge == null && makingRoom && room.make(place, bytes - replacedBytes)) {
      charge = shared.inventory.quotas().chargeMove(place, bytes, replacedBytes);
    }
    return charge != null;
  }

  private Stored make() {
    EntryId id = new EntryId(chunk.key(), stored.variantClass());
    try (Source source = Source.open(shared, id, stored)) {
      if (source == null) {
        shared.missing(chunk.position(), id, stored);
        return null;
      }
      try (PartReader parts = new PartReader(shared, chunk.position(), source)) {
        if (!parts.read(0)) {
          return null;
        }
        // Making room may take buffers of its own.
        parts.giveBack();
        return stored.encoding().equals(to.encoding()) ? copyVerbatim(source, parts)
            : swaps() ? swap(source, parts) : encode(source, parts);
      }
    } catch (MalformedDataException e) {
      shared.corrupt(chunk.position(), id, stored, e);
      return null;
    } catch (RuntimeException e) {
      // A compressor is someone else's code; or the cache was closed, and the memory is gone.
      if (!shared.closed()) {
        shared.counters.pluginFailures.increment();
      }
      return null;
    }
  }

  private boolean swaps() {
    return takesItsPlace() && !tier.durable();
  }

  /** Whether the source goes, from the tier where the copy comes. */
  private boolean takesItsPlace() {
    return stored.tier() == to.tier()
        && (!keepSource || shared.codecs.variantClass(to.encoding()) == stored.variantClass());
  }

  /** Copies a frame as it is, each part verified on the way. */
  private Stored copyVerbatim(Source source, PartReader parts) throws MalformedDataException {
    FrameReader reader = source.reader();
    long[] bytes = new long[reader.header().parts()];
    for (int part = 0; part < bytes.length; part++) {
      bytes[part] = reader.header().partBytes(part);
    }
    Stored copy = new Stored(to.tier(), to.encoding(), stored.variantClass(), stored.generation(),
        LongStream.of(bytes).sum(), stored.expiryMillis());
    if (!charge(copy.bytes(), EnumSet.of(copy.variantClass()), true)) {
      return null;
    }
    Optional<TierWrite> claimed = claim(copy, bytes);
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
      return commit(copy, write, bytes) ? copy : null;
    }
  }

  private boolean commit(Stored copy, TierWrite write, long[] bytes) {
    return retireOld(copy.variantClass()) && committed(copy, () -> {
      write.commit(bytes);
      return copy.bytes();
    });
  }

  /** Where a commit fails, the tier may still have what it was to replace, of which nobody knows any more. */
  private boolean committed(Stored copy, TierHandle.Commit commit) {
    boolean done = tier.commit(commit);
    if (!done && retired) {
      tier.withdraw(List.of(new EntryId(chunk.key(), copy.variantClass())));
    }
    return done;
  }

  /** Forgets what the target holds under the same id, which the commit replaces; false when it may be being read. */
  private boolean retireOld(VariantClass variantClass) {
    List<Stored> old = chunk.stored().stream()
        .filter(each -> each.tier() == to.tier() && each.variantClass() == variantClass).toList();
    retired = !old.isEmpty();
    return old.stream().allMatch(each -> shared.inventory.retire(chunk.position(), each));
  }

  private Stored encode(Source source, PartReader parts) throws MalformedDataException {
    Compressor compressor = shared.codecs.get(to.encoding().codec());
    FrameHeader parent = source.reader().header();
    long[] most = mostPartBytes(parent, compressor);
    Stored planned = planned(LongStream.of(most).sum());
    Optional<TierWrite> claimed;
    // What takes its source's place needs no more room than that has, if it goes first.
    if (!charge(planned.bytes(), EnumSet.of(planned.variantClass()), !takesItsPlace())) {
      return takesItsPlace() ? swap(source, parts) : null;
    }
    if (takesItsPlace()) {
      Attempt attempt = claimFree(planned, most);
      if (attempt.lacksRoom()) {
        charge.release();
        return swap(source, parts);
      }
      claimed = attempt.write();
    } else {
      claimed = claim(planned, most);
    }
    if (claimed.isEmpty()) {
      return null;
    }
    try (FrameWriter writer = new FrameWriter(shared.plan, compressor, claimed.get(), keeps(parent))) {
      if (!fill(source.reader(), parts, writer) || !retireOld(planned.variantClass())) {
        return null;
      }
      long[] bytes = new long[1];
      boolean committed =
          committed(planned, () -> bytes[0] = writer.commit(fields(planned, parent, compressor)));
      return committed ? planned.withBytes(bytes[0]) : null;
    }
  }

  /** Encodes into memory first, then puts that in the source's place. */
  private Stored swap(Source source, PartReader parts) throws MalformedDataException {
    Compressor compressor = shared.codecs.get(to.encoding().codec());
    FrameHeader parent = source.reader().header();
    Stored planned = planned(0);
    try (MemoryWrite made = new MemoryWrite(mostPartBytes(parent, compressor));
        FrameWriter writer = new FrameWriter(shared.plan, compressor, made, keeps(parent))) {
      if (!fill(source.reader(), parts, writer)) {
        return null;
      }
      Stored copy = planned.withBytes(writer.commit(fields(planned, parent, compressor)));
      Set<VariantClass> replaced = EnumSet.of(stored.variantClass(), planned.variantClass());
      // Making room may take buffers.
      parts.giveBack();
      if (!charge(copy.bytes(), replaced, true)) {
        return null;
      }
      List<EntryId> left = shared.inventory.vacate(List.of(chunk), to.tier(), replaced, true);
      if (left.isEmpty()) {
        return null;
      }
      // What is still being looked at takes room.
      source.close();
      Optional<TierWrite> claimed = claimInPlaceOf(left, copy, made.bytes());
      if (claimed.isEmpty()) {
        return null;
      }
      try (TierWrite write = claimed.get()) {
        made.copyTo(write);
        boolean committed = tier.commit(() -> {
          write.commit(made.bytes());
          return copy.bytes();
        });
        return committed ? copy : null;
      }
    } catch (IOException impossible) {
      throw new AssertionError("memory does not fail", impossible);
    }
  }

  /** Serving entries are new content; full ones are the same content as the source, however encoded. */
  private Stored planned(long bytes) {
    VariantClass variantClass = shared.codecs.variantClass(to.encoding());
    long generation = variantClass == VariantClass.SERVING ? shared.nextGeneration() : stored.generation();
    return new Stored(to.tier(), to.encoding(), variantClass, generation, bytes, stored.expiryMillis());
  }

  private Kept keeps(FrameHeader parent) {
    return kept != null ? kept : parent.kept();
  }

  private long[] mostPartBytes(FrameHeader parent, Compressor compressor) {
    return to.encoding().dropsTokens() ? shared.plan.maxPartBytes(compressor, keeps(parent))
        : shared.plan.maxPartBytes(compressor, carriedScores(parent));
  }

  /** What is not exact any more cannot be pruned later: it needs no scores. */
  private Set<DropMethod> carriedScores(FrameHeader parent) {
    return shared.codecs.exact(to.encoding()) ? parent.scored() : Set.of();
  }

  private FrameHeader.Fields fields(Stored planned, FrameHeader parent, Compressor compressor) {
    long parentGeneration = planned.variantClass() == VariantClass.SERVING
        && stored.variantClass() == VariantClass.FULL ? stored.generation() : parent.parentGeneration();
    return new FrameHeader.Fields(new EntryId(chunk.key(), planned.variantClass()), planned.generation(),
        chunk.root(), chunk.previous(), chunk.position().chunk(), to.encoding(), compressor.parameters(),
        shared.runtime.wallClock().millis(), parent.expiryMillis(), parentGeneration);
  }

  /** Gives all that the source holds to a writer; false when a part or a buffer cannot be had. */
  private boolean fill(FrameReader reader, PartReader parts, FrameWriter writer)
      throws MalformedDataException {
    try (Staging.Buffer scratch = shared.moverStaging.take(Deadline.never())) {
      if (scratch == null) {
        return false;
      }
      for (int layer = 0; layer < shared.plan.layers(); layer++) {
        if (!parts.read(shared.plan.partOf(layer))) {
          return false;
        }
        fillLayer(reader, parts.segment(), layer, scratch.segment(), writer);
      }
    }
    if (!carriedScores(reader.header()).isEmpty()) {
      if (!parts.read(shared.plan.parts())) {
        return false;
      }
      writer.scores(reader.scores(parts.segment()));
    }
    if (stored.variantClass() == VariantClass.FULL) {
      writer.requireContentOf(reader.header());
    }
    return true;
  }

  private void fillLayer(FrameReader reader, MemorySegment part, int layer, MemorySegment scratch,
      FrameWriter writer) throws MalformedDataException {
    FrameReader.Layer from = reader.layer(part, layer);
    for (KvHalf half : KvHalf.values()) {
      long rowBytes = shared.plan.layout().layer(layer).rowBytes(half);
      MemorySegment rows = scratch.asSlice(0, rowBytes * reader.header().rows(layer));
      from.decodeKept(half, rows);
      if (stored.variantClass() == VariantClass.FULL) {
        writer.encode(layer, half, rows);
      } else {
        writer.reencode(layer, half, rows, reader.header());
      }
    }
  }

  /** Claims room that is free: nothing is evicted for what will make room itself. */
  private Attempt claimFree(Stored copy, long[] bytes) {
    EntryId id = id(copy);
    try {
      Optional<TierWrite> claimed = tier.create(id, note(copy), bytes);
      return new Attempt(claimed, claimed.isEmpty() && tier.removalHelps(id, bytes));
    } catch (IOException counted) {
      return new Attempt(Optional.empty(), false);
    }
  }

  /** Claims the room that the source leaves; where that is scattered, or still being read, any other. */
  private Optional<TierWrite> claimInPlaceOf(List<EntryId> leaving, Stored copy, long[] bytes) {
    Optional<TierWrite> claimed = Optional.empty();
    try {
      claimed = tier.createInPlaceOf(leaving, id(copy), note(copy), bytes);
    } catch (IOException counted) {
      return claimed;
    }
    return claimed.isPresent() ? claimed : claim(copy, bytes);
  }

  private Optional<TierWrite> claim(Stored copy, long[] bytes) {
    byte[] note = note(copy);
    Attempt attempt = shared.create(tier, id(copy), note, bytes, room.usedBefore());
    if (attempt.lacksRoom() && room.make(tier, LongStream.of(bytes).sum())) {
      attempt = shared.create(tier, id(copy), note, bytes, room.usedBefore());
    }
    return attempt.write();
  }

  private EntryId id(Stored copy) {
    return new EntryId(chunk.key(), copy.variantClass());
  }

  private byte[] note(Stored copy) {
    return shared.inventory.insights().note(chunk, copy, shared.runtime.wallClock().millis()).encode();
  }

  /** An entry in memory that no tier has yet. */
  private static final class MemoryWrite implements TierWrite {
    private final Arena arena = Arena.ofConfined();
    private final MemorySegment[] parts;
    private long[] bytes;

    MemoryWrite(long[] most) {
      parts = new MemorySegment[most.length];
      for (int part = 0; part < most.length; part++) {
        parts[part] = arena.allocate(most[part], 64);
      }
    }

    @Override
    public MemorySegment part(int index) {
      return parts[index];
    }

    @Override
    public void commit(long[] partBytes) {
      bytes = partBytes.clone();
    }

    long[] bytes() {
      return bytes;
    }

    void copyTo(TierWrite write) {
      for (int part = 0; part < bytes.length; part++) {
        MemorySegment.copy(parts[part], 0, write.part(part), 0, bytes[part]);
      }
    }

    @Override
    public void close() {
      if (arena.scope().isAlive()) {
        arena.close();
      }
    }
  }
}
