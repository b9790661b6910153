package io.kvcache.testkit;

import io.kvcache.spi.Deadline;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.ReadResult;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierEntry;
import io.kvcache.spi.TierTrait;
import io.kvcache.spi.TierUsage;
import io.kvcache.spi.TierView;
import io.kvcache.spi.TierWrite;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.LongStream;

/**
 * The simplest tier that keeps the contract: one lock, entries in insertion order, every call deterministic.
 * Its medium is ordinary memory, which it gives back poisoned; {@link #crash} stages a power loss.
 *
 * <p>Ownership: memory is freed by the collector once tier, writes and views are unreachable; nothing need be
 * closed to avoid a leak, {@link #openHandles} says what was not.
 */
public final class MemoryTier implements Tier {
  private static final byte POISON = (byte) 0xdb;

  private final String name;
  private final long capacityBytes;
  private final Set<TierTrait> traits;
  private final Arena arena = Arena.ofAuto();
  private final Map<Long, ArrayDeque<MemorySegment>> free = new HashMap<>();
  private final Map<EntryId, Kept> live = new LinkedHashMap<>();
  private final Map<EntryId, Kept> flushed = new LinkedHashMap<>();
  private long usedBytes;
  private long claimedBytes;
  private int openHandles;
  private boolean closed;

  /**
   * An empty tier.
   *
   * @param capacityBytes limit on used bytes; each part takes its length rounded up to 64
   * @param traits any of {@link TierTrait#ADDRESSABLE} and {@link TierTrait#DURABLE}
   */
  public MemoryTier(String name, long capacityBytes, Set<TierTrait> traits) {
    if (capacityBytes < 1) {
      throw new IllegalArgumentException("capacityBytes is " + capacityBytes + ", must be at least 1");
    }
    if (traits.contains(TierTrait.SELF_EVICTING)) {
      throw new IllegalArgumentException("traits are " + traits + ", but this tier never evicts");
    }
    this.name = name;
    this.capacityBytes = capacityBytes;
    this.traits = Set.copyOf(traits);
  }

  /** Memory of one entry, how much of it is used, and counted references to it. */
  private static final class Block {
    final MemorySegment[] memory;
    long[] lengths;
    int references = 1;

    Block(MemorySegment[] memory, long[] lengths) {
      this.memory = memory;
      this.lengths = lengths;
    }

    MemorySegment part(int index) {
      return memory[index].asSlice(0, lengths[index]);
    }

    long bytes() {
      return mediumBytes(lengths);
    }
  }

  private record Kept(Block block, byte[] note) {}

  @Override
  public String name() {
    return name;
  }

  @Override
  public Set<TierTrait> traits() {
    return traits;
  }

  @Override
  public synchronized TierUsage usage() {
    return new TierUsage(capacityBytes, usedBytes, live.size());
  }

  /** Writes and views not closed yet. */
  public synchronized int openHandles() {
    return openHandles;
  }

  @Override
  public synchronized Optional<TierWrite> create(EntryId id, byte[] note, long[] partBytes) {
    requireOpen();
    requireNote(note);
    requireLengths(partBytes, null);
    long bytes = mediumBytes(partBytes);
    if (bytes > capacityBytes - usedBytes) {
      return Optional.empty();
    }
    MemorySegment[] memory = new MemorySegment[partBytes.length];
    for (int i = 0; i < memory.length; i++) {
      memory[i] = allocate(partBytes[i]);
    }
    usedBytes += bytes;
    claimedBytes += bytes;
    openHandles++;
    return Optional.of(new Write(id, note.clone(), new Block(memory, partBytes.clone())));
  }

  @Override
  public synchronized boolean removalHelps(long[] partBytes) {
    requireOpen();
    requireLengths(partBytes, null);
    return mediumBytes(partBytes) <= capacityBytes - claimedBytes;
  }

  @Override
  public synchronized ReadResult read(EntryId id, int part, MemorySegment target, Deadline deadline) {
    requireOpen();
    Kept kept = live.get(id);
    if (kept == null || part < 0 || part >= kept.block.lengths.length) {
      return new ReadResult.Missing();
    }
    MemorySegment bytes = kept.block.part(part);
    if (target.byteSize() < bytes.byteSize()) {
      return new ReadResult.Missing();
    }
    MemorySegment.copy(bytes, 0, target, 0, bytes.byteSize());
    return new ReadResult.Present(bytes.byteSize());
  }

  @Override
  public synchronized Optional<TierView> view(EntryId id) {
    requireOpen();
    Kept kept = live.get(id);
    if (kept == null || !traits.contains(TierTrait.ADDRESSABLE)) {
      return Optional.empty();
    }
    kept.block.references++;
    openHandles++;
    return Optional.of(new View(kept.block));
  }

  @Override
  public synchronized int remove(Collection<EntryId> ids) {
    requireOpen();
    int removed = 0;
    for (EntryId id : ids) {
      removed += drop(live, id) ? 1 : 0;
      drop(flushed, id);
    }
    return removed;
  }

  @Override
  public synchronized void annotate(Map<EntryId, byte[]> notes) {
    requireOpen();
    notes.values().forEach(MemoryTier::requireNote);
    notes
        .forEach((id, note) -> live.computeIfPresent(id, (same, kept) -> new Kept(kept.block, note.clone())));
  }

  @Override
  public void inventory(Consumer<TierEntry> entries) {
    List<TierEntry> listed = new ArrayList<>();
    synchronized (this) {
      requireOpen();
      live.forEach((id, kept) -> listed.add(new TierEntry(id, kept.note.clone(), kept.block.bytes())));
    }
    listed.forEach(entries);
  }

  @Override
  public synchronized void flush() {
    requireOpen();
    if (traits.contains(TierTrait.DURABLE)) {
      List.copyOf(flushed.keySet()).forEach(id -> drop(flushed, id));
      live.forEach((id, kept) -> {
        kept.block.references++;
        flushed.put(id, kept);
      });
    }
  }

  @Override
  public synchronized void close() {
    closed = true;
  }

  /** Flips one bit of an entry in place, as a failing medium does. */
  public synchronized void flip(EntryId id, int part, long offset, int bit) {
    MemorySegment bytes = live.get(id).block.part(part);
    bytes.set(ValueLayout.JAVA_BYTE, offset, (byte) (bytes.get(ValueLayout.JAVA_BYTE, offset) ^ 1 << bit));
  }

  /** What one part of an entry holds. */
  public synchronized byte[] part(EntryId id, int part) {
    return live.get(id).block.part(part).toArray(ValueLayout.JAVA_BYTE);
  }

  /** Puts other bytes, no more than the part has, in the place of a part's, as a medium that errs does. */
  public synchronized void overwrite(EntryId id, int part, byte[] bytes) {
    Block block = live.get(id).block;
    MemorySegment.copy(bytes, 0, block.part(part), ValueLayout.JAVA_BYTE, 0, bytes.length);
    usedBytes -= block.bytes();
    block.lengths[part] = bytes.length;
    usedBytes += block.bytes();
  }

  /** Bytes of one part of an entry. */
  public synchronized long partBytes(EntryId id, int part) {
    return live.get(id).block.lengths[part];
  }

  /** Bytes of all parts of an entry; 0 where there is none. */
  public synchronized long bytes(EntryId id) {
    return live.containsKey(id) ? LongStream.of(live.get(id).block.lengths).sum() : 0;
  }

  /** Whether an entry is committed. */
  public synchronized boolean holds(EntryId id) {
    return live.containsKey(id);
  }

  /** Opens again, after a close, what a durable tier holds; an empty one in place of a volatile one. */
  public synchronized MemoryTier reopen() {
    if (!closed) {
      throw new IllegalStateException("tier " + name + " is still open");
    }
    return successor(live);
  }

  /**
   * Ends this tier as a power loss would and opens what is left: what was committed before the last flush and
   * not removed since, in a durable tier; nothing in a volatile one.
   */
  public synchronized MemoryTier crash() {
    requireOpen();
    closed = true;
    return successor(flushed);
  }

  private MemoryTier successor(Map<EntryId, Kept> contents) {
    MemoryTier next = new MemoryTier(name, capacityBytes, traits);
    if (traits.contains(TierTrait.DURABLE)) {
      contents.forEach((id, kept) -> {
        Kept same = new Kept(new Block(kept.block.memory, kept.block.lengths), kept.note);
        next.live.put(id, same);
        next.usedBytes += same.block.bytes();
      });
      next.flush();
    }
    return next;
  }

  private boolean drop(Map<EntryId, Kept> map, EntryId id) {
    Kept kept = map.remove(id);
    if (kept != null) {
      release(kept.block);
    }
    return kept != null;
  }

  /** Gives up one reference. What a closed tier held is its successor's, or the collector's. */
  private void release(Block block) {
    if (--block.references > 0 || closed) {
      return;
    }
    usedBytes -= block.bytes();
    for (MemorySegment memory : block.memory) {
      free.computeIfAbsent(memory.byteSize(), size -> new ArrayDeque<>()).push(memory.fill(POISON));
    }
  }

  private MemorySegment allocate(long bytes) {
    ArrayDeque<MemorySegment> sameClass = free.get(sizeClass(bytes));
    return sameClass == null || sameClass.isEmpty() ? arena.allocate(sizeClass(bytes), 64) : sameClass.pop();
  }

  private static long sizeClass(long bytes) {
    return bytes <= 64 ? 64 : Long.highestOneBit(bytes - 1) << 1;
  }

  private static long mediumBytes(long[] partBytes) {
    long sum = 0;
    for (long bytes : partBytes) {
      sum = Math.addExact(sum, (bytes + 63) & -64);
    }
    return sum;
  }

  private void requireOpen() {
    if (closed) {
      throw new IllegalStateException("tier " + name + " is closed");
    }
  }

  private static void requireNote(byte[] note) {
    if (note.length > MAX_NOTE_BYTES) {
      throw new IllegalArgumentException("note has " + note.length + " bytes, at most " + MAX_NOTE_BYTES);
    }
  }

  /** Checks lengths to claim or, where {@code claimed} is not null, to commit. */
  private static void requireLengths(long[] partBytes, long[] claimed) {
    if (partBytes.length == 0 || claimed != null && partBytes.length != claimed.length) {
      throw new IllegalArgumentException("lengths of " + partBytes.length + " parts");
    }
    for (int i = 0; i < partBytes.length; i++) {
      long most = claimed == null ? Long.MAX_VALUE / 2 / partBytes.length : claimed[i];
      if (partBytes[i] < 1 || partBytes[i] > most) {
        throw new IllegalArgumentException(
            "part " + i + " has " + partBytes[i] + " bytes, must be 1 to " + most);
      }
    }
  }

  private final class Write implements TierWrite {
    private final EntryId id;
    private final byte[] note;
    private final Block block;
    private boolean ended;

    Write(EntryId id, byte[] note, Block block) {
      this.id = id;
      this.note = note;
      this.block = block;
    }

    @Override
    public MemorySegment part(int index) {
      synchronized (MemoryTier.this) {
        requireNotEnded();
        return block.part(index);
      }
    }

    @Override
    public void commit(long[] partBytes) {
      synchronized (MemoryTier.this) {
        requireOpen();
        requireNotEnded();
        requireLengths(partBytes, block.lengths);
        claimedBytes -= block.bytes();
        usedBytes -= block.bytes();
        block.lengths = partBytes.clone();
        usedBytes += block.bytes();
        drop(live, id);
        live.put(id, new Kept(block, note));
        ended = true;
        openHandles--;
      }
    }

    @Override
    public void close() {
      synchronized (MemoryTier.this) {
        if (!ended) {
          ended = true;
          openHandles--;
          claimedBytes -= block.bytes();
          release(block);
        }
      }
    }

    private void requireNotEnded() {
      if (ended) {
        throw new IllegalStateException("write of " + id + " is over");
      }
    }
  }

  private final class View implements TierView {
    private final Block block;
    private boolean ended;

    View(Block block) {
      this.block = block;
    }

    @Override
    public int parts() {
      return block.lengths.length;
    }

    @Override
    public MemorySegment part(int index) {
      synchronized (MemoryTier.this) {
        if (ended) {
          throw new IllegalStateException("view is closed");
        }
        return block.part(index).asReadOnly();
      }
    }

    @Override
    public void close() {
      synchronized (MemoryTier.this) {
        if (!ended) {
          ended = true;
          openHandles--;
          release(block);
        }
      }
    }
  }
}
