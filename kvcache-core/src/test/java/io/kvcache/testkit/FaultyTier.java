package io.kvcache.testkit;

import io.kvcache.spi.Deadline;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.ReadResult;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierView;
import io.kvcache.spi.TierWrite;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Collection;
import java.util.EnumMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.function.LongConsumer;

/**
 * A tier that goes wrong now and then, as media do: each {@link Fault} with a probability of its own, drawn
 * from a seed, so that a single-threaded run repeats exactly. Without faults it is the tier it wraps.
 *
 * <p>Threads: as the tier it wraps; with several, which call meets a fault depends on their order.
 */
public final class FaultyTier extends ForwardingTier {
  /** What can go wrong. */
  public enum Fault {
    /** Claiming space throws. */
    CREATE_FAILS,
    /** Claiming space finds no room. */
    NO_ROOM,
    /** Committing throws; the entry is not stored, an older one may be gone. */
    COMMIT_FAILS,
    /** Reading a part is answered with unreadable; viewing finds nothing. */
    READ_FAILS,
    /** A part or entry that is there is not found. */
    READ_MISSES,
    /** What is read ends early. */
    READ_TRUNCATES,
    /** One bit of what is read is wrong. */
    READ_FLIPS,
    /** What is read is another entry's, where there is another one with such a part. */
    READ_MISDIRECTS,
    /** A read takes its time: the hook is called with the nanoseconds. */
    READ_DELAYS,
    /** Removing throws, after some of the entries were removed. */
    REMOVE_FAILS,
    /** Replacing notes throws; none is replaced. */
    ANNOTATE_FAILS,
    /** Flushing throws; nothing is flushed. */
    FLUSH_FAILS
  }

  private final SplittableRandom random;
  private final Map<Fault, Double> probabilities = new EnumMap<>(Fault.class);
  private final Map<Fault, Long> injected = new EnumMap<>(Fault.class);
  private final Set<EntryId> committed = new LinkedHashSet<>();
  private final long delayNanos;
  private final LongConsumer onDelay;
  private boolean enabled = true;

  /** Wraps {@code inner}, which it closes; no fault until {@link #set}, delays do nothing. */
  public FaultyTier(Tier inner, long seed) {
    this(inner, seed, 0, nanos -> {});
  }

  /**
   * Wraps {@code inner}, which it closes; no fault until {@link #set}.
   *
   * @param delayNanos longest delay of a read
   * @param onDelay makes time pass, such as {@code clock::advance}
   */
  public FaultyTier(Tier inner, long seed, long delayNanos, LongConsumer onDelay) {
    super(inner);
    this.delayNanos = delayNanos;
    this.onDelay = onDelay;
    random = new SplittableRandom(seed);
  }

  /** Lets a fault happen with this probability, 0 to 1; returns this. */
  public synchronized FaultyTier set(Fault fault, double probability) {
    if (!(probability >= 0 && probability <= 1)) {
      throw new IllegalArgumentException("probability is " + probability + ", must be 0 to 1");
    }
    probabilities.put(fault, probability);
    return this;
  }

  /** Switches all faults on, as at first, or off; probabilities are kept. */
  public synchronized void setEnabled(boolean on) {
    enabled = on;
  }

  /** How often a fault happened. */
  public synchronized long injected(Fault fault) {
    return injected.getOrDefault(fault, 0L);
  }

  /** How often any fault happened. */
  public synchronized long injected() {
    return injected.values().stream().mapToLong(Long::longValue).sum();
  }

  @Override
  public Optional<TierWrite> create(EntryId id, byte[] note, long[] partBytes) throws IOException {
    throwIf(Fault.CREATE_FAILS);
    if (strikes(Fault.NO_ROOM)) {
      return Optional.empty();
    }
    return super.create(id, note, partBytes).map(write -> new FaultyWrite(id, write));
  }

  @Override
  public ReadResult read(EntryId id, int part, MemorySegment target, Deadline deadline) {
    delay();
    ReadResult result = super.read(id, part, target, deadline);
    if (!(result instanceof ReadResult.Present present)) {
      return result;
    }
    if (strikes(Fault.READ_FAILS)) {
      return new ReadResult.Unreadable(failure(Fault.READ_FAILS));
    }
    if (strikes(Fault.READ_MISSES)) {
      return new ReadResult.Missing();
    }
    EntryId other = meets(Fault.READ_MISDIRECTS) ? another(id) : id;
    if (!other.equals(id) && super.read(other, part, target, deadline) instanceof ReadResult.Present wrong) {
      count(Fault.READ_MISDIRECTS);
      return wrong;
    }
    if (strikes(Fault.READ_FLIPS)) {
      flipBit(target.asSlice(0, present.bytes()));
    }
    return strikes(Fault.READ_TRUNCATES) ? new ReadResult.Present(below(present.bytes())) : present;
  }

  @Override
  public Optional<TierView> view(EntryId id) {
    delay();
    Optional<TierView> view = super.view(id);
    if (view.isEmpty()) {
      return view;
    }
    if (strikes(Fault.READ_FAILS) || strikes(Fault.READ_MISSES)) {
      view.get().close();
      return Optional.empty();
    }
    EntryId other = meets(Fault.READ_MISDIRECTS) ? another(id) : id;
    Optional<TierView> wrong = other.equals(id) ? Optional.empty() : super.view(other);
    if (wrong.isPresent()) {
      count(Fault.READ_MISDIRECTS);
      view.get().close();
      return wrong;
    }
    return Optional.of(damaged(view.get()));
  }

  @Override
  public int remove(Collection<EntryId> ids) throws IOException {
    if (strikes(Fault.REMOVE_FAILS)) {
      super.remove(ids.stream().limit(ids.size() / 2).toList());
      throw failure(Fault.REMOVE_FAILS);
    }
    return super.remove(ids);
  }

  @Override
  public void annotate(Map<EntryId, byte[]> notes) throws IOException {
    throwIf(Fault.ANNOTATE_FAILS);
    super.annotate(notes);
  }

  @Override
  public void flush() throws IOException {
    throwIf(Fault.FLUSH_FAILS);
    super.flush();
  }

  private void delay() {
    if (strikes(Fault.READ_DELAYS)) {
      onDelay.accept(below(delayNanos + 1));
    }
  }

  /** The view itself or, when a fault strikes, one whose parts are copies with damage in one of them. */
  private TierView damaged(TierView view) {
    boolean flips = strikes(Fault.READ_FLIPS);
    boolean truncates = strikes(Fault.READ_TRUNCATES);
    if (!flips && !truncates) {
      return view;
    }
    Arena arena = Arena.ofAuto();
    MemorySegment[] parts = new MemorySegment[view.parts()];
    for (int i = 0; i < parts.length; i++) {
      MemorySegment part = view.part(i);
      parts[i] = arena.allocate(part.byteSize(), 64).copyFrom(part);
    }
    int hit = (int) below(parts.length);
    if (flips) {
      flipBit(parts[hit]);
    }
    if (truncates) {
      parts[hit] = parts[hit].asSlice(0, below(parts[hit].byteSize()));
    }
    return new CopiedView(view, parts);
  }

  private void flipBit(MemorySegment bytes) {
    long at = below(bytes.byteSize());
    int bit = 1 << below(8);
    bytes.set(ValueLayout.JAVA_BYTE, at, (byte) (bytes.get(ValueLayout.JAVA_BYTE, at) ^ bit));
  }

  private void throwIf(Fault fault) throws IOException {
    if (strikes(fault)) {
      throw failure(fault);
    }
  }

  private IOException failure(Fault fault) {
    return new IOException("injected: " + fault + " in " + name());
  }

  private synchronized boolean strikes(Fault fault) {
    boolean strikes = meets(fault);
    if (strikes) {
      count(fault);
    }
    return strikes;
  }

  private synchronized boolean meets(Fault fault) {
    double probability = probabilities.getOrDefault(fault, 0.0);
    return enabled && probability > 0 && random.nextDouble() < probability;
  }

  private synchronized void count(Fault fault) {
    injected.merge(fault, 1L, Long::sum);
  }

  private synchronized long below(long bound) {
    return random.nextLong(bound);
  }

  /** An entry other than {@code id} that was committed here once; {@code id} where there is none. */
  private synchronized EntryId another(EntryId id) {
    List<EntryId> others = committed.stream().filter(each -> !each.equals(id)).toList();
    return others.isEmpty() ? id : others.get((int) below(others.size()));
  }

  private synchronized void remember(EntryId id) {
    committed.add(id);
  }

  private final class FaultyWrite extends ForwardingWrite {
    private final EntryId id;

    FaultyWrite(EntryId id, TierWrite write) {
      super(write);
      this.id = id;
    }

    @Override
    public void commit(long[] partBytes) throws IOException {
      if (strikes(Fault.COMMIT_FAILS)) {
        if (below(2) == 0) {
          FaultyTier.super.remove(List.of(id));
        }
        close();
        throw failure(Fault.COMMIT_FAILS);
      }
      super.commit(partBytes);
      remember(id);
    }
  }

  /** Shows copies; holds the view they were made of open, so that leaks still count. */
  private record CopiedView(TierView original, MemorySegment[] copies) implements TierView {
    @Override
    public int parts() {
      return copies.length;
    }

    @Override
    public MemorySegment part(int index) {
      return copies[index].asReadOnly();
    }

    @Override
    public void close() {
      original.close();
    }
  }
}
