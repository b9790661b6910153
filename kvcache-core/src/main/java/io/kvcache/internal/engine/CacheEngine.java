package io.kvcache.internal.engine;

import io.kvcache.AcquireOptions;
import io.kvcache.CacheEvent;
import io.kvcache.CacheEvent.DropCause;
import io.kvcache.CacheStats;
import io.kvcache.ChunkKey;
import io.kvcache.Encoding;
import io.kvcache.KeyChain;
import io.kvcache.KvCache;
import io.kvcache.KvCacheBuilder.Settings;
import io.kvcache.KvControl;
import io.kvcache.KvLayout;
import io.kvcache.KvLease;
import io.kvcache.KvReservation;
import io.kvcache.KvReservation.Status;
import io.kvcache.Namespace;
import io.kvcache.NamespaceLimits;
import io.kvcache.StoreOptions;
import io.kvcache.TokenScores;
import io.kvcache.Tokens;
import io.kvcache.internal.engine.Inventory.Acceptance;
import io.kvcache.internal.engine.Inventory.Lookup;
import io.kvcache.internal.engine.Recovery.Recovered;
import io.kvcache.internal.engine.Removals.Removed;
import io.kvcache.internal.frame.EntryNote;
import io.kvcache.internal.memory.LargePages;
import io.kvcache.internal.tree.Stored;
import io.kvcache.spi.Deadline;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.MalformedDataException;
import io.kvcache.spi.TierEntry;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;

/**
 * The cache: turns prompts into key chains, asks the {@link Inventory} what is stored, and hands out leases and
 * reservations. All I/O is theirs and the {@link Migrator}'s.
 */
public final class CacheEngine implements KvCache {
  /** How many more keys are computed each time those computed were all found. */
  private static final int KEY_STEP_FACTOR = 4;
  /** How long closing waits for a move under way. */
  private static final long LONGEST_WAIT_NANOS = 5_000_000_000L;

  private final KvLayout layout;
  private final Events events;
  private final Resources shared;
  private final Migrator migrator;
  private final Flusher flusher;
  private final Control control;
  private final KeyMemo memo = new KeyMemo();
  /** Null where namespaces have no limits. */
  private final Function<Namespace, NamespaceLimits> limits;

  private CacheEngine(Settings settings) {
    this.layout = settings.layout();
    this.limits = settings.limits();
    this.events = new Events(settings.listener(), settings.runtime().events());
    this.shared = new Assembly(settings).assemble(events);
    this.migrator = new Migrator(shared);
    this.flusher = new Flusher(shared, migrator, settings.policy().weighsDelays());
    this.control = new Control(shared, migrator, settings, this::chain);
  }

  /** Opens a cache; for its builder. */
  public static KvCache open(Settings settings) {
    CacheEngine engine = new CacheEngine(settings);
    Tasks.onIo(engine.shared.runtime, () -> {
      engine.recover();
      return null;
    });
    return engine;
  }

  /**
   * Finds again what durable tiers hold. A note that cannot be read is of an entry that cannot be found: removed, as
   * what has expired is. None at all has what a crash left of a measurement.
   */
  private void recover() {
    List<Recovered> recovered = new ArrayList<>();
    long nowMillis = shared.runtime.wallClock().millis();
    for (TierHandle tier : shared.tiers) {
      List<EntryId> unreadable = new ArrayList<>();
      List<EntryId> expired = new ArrayList<>();
      for (TierEntry entry : tier.durable() ? tier.inventory() : List.<TierEntry>of()) {
        if (entry.id().equals(SavedState.ID)) {
          restoreState(tier);
          continue;
        }
        if (entry.note().length == 0) {
          unreadable.add(entry.id());
          continue;
        }
        try {
          EntryNote note = EntryNote.decode(entry.note());
          if (Stored.expiry(note.expiryMillis()) <= nowMillis) {
            expired.add(entry.id());
            continue;
          }
          long idleMillis = Math.max(0, nowMillis - note.lastUseMillis());
          recovered.add(new Recovered(entry.id(), note, tier.index, entry.storedBytes(),
              TimeUnit.MILLISECONDS.toNanos(idleMillis)));
        } catch (MalformedDataException e) {
          unreadable.add(entry.id());
          tier.corrupt.increment();
          shared.events.accept(new CacheEvent.Corrupt(tier.name(), entry.id().key(), e.getMessage()));
        }
      }
      tier.withdraw(unreadable);
      tier.withdraw(expired);
      shared.toldExpired(tier, expired.size());
    }
    shared.inventory.restore(recovered);
    List<Encoding> encodings = new ArrayList<>(shared.codecs.codecs().stream().map(Encoding::of).toList());
    encodings.addAll(shared.qualities.candidates());
    shared.inventory.insights().startDelays(shared.delays, encodings);
  }

  private void restoreState(TierHandle tier) {
    Optional<byte[]> state = SavedState.load(tier);
    try {
      if (state.isPresent()) {
        shared.delays.restore(state.get());
      }
    } catch (MalformedDataException e) {
      tier.corrupt.increment();
      shared.events.accept(new CacheEvent.Corrupt(tier.name(), SavedState.ID.key(), e.getMessage()));
      tier.withdraw(List.of(SavedState.ID));
    }
  }

  private KeyChain chain(Namespace namespace, Tokens tokens) {
    requireMine(namespace);
    return memo.chain(KeyChain.root(namespace), layout.chunkTokens(), tokens);
  }

  private void requireMine(Namespace namespace) {
    shared.requireOpen();
    if (!namespace.layout().equals(layout)) {
      throw new IllegalArgumentException(
          "namespace has layout " + namespace.layout() + ", the cache is for " + layout);
    }
  }

  static List<ChunkKey> allKeys(KeyChain chain) {
    List<ChunkKey> keys = new ArrayList<>(chain.chunks());
    for (int chunk = 0; chunk < chain.chunks(); chunk++) {
      keys.add(chain.key(chunk));
    }
    return keys;
  }

  @Override
  public KvLease acquire(Namespace namespace, Tokens tokens, AcquireOptions options) {
    Objects.requireNonNull(options, "options");
    KeyChain chain = chain(namespace, tokens);
    noteLimits(namespace, chain.root());
    Deadline deadline = Deadline.after(nanos(options.deadline()), shared.runtime.nanoTime());
    Acceptance usable =
        shared.qualities.alongPath(options.leastQuality(), options.pruned(), shared::usable);
    long seen = options.awaitPending() ? shared.inventory.changes() : 0;
    Lookup found = lookup(chain, usable);
    while (options.awaitPending() && found.pending() && !shared.closed()
        && shared.inventory.awaitChange(seen, deadline.remainingNanos())) {
      release(found);
      seen = shared.inventory.changes();
      found = lookup(chain, usable);
    }
    if (!found.chunks().isEmpty()) {
      memo.remember(chain, tokens);
    }
    Lease lease = new Lease(shared, found.chunks(), deadline);
    shared.counters.lookups.increment();
    shared.counters.requestedTokens.add(tokens.length());
    shared.counters.hitTokens.add(lease.tokens());
    shared.events.accept(new CacheEvent.LookedUp(lease.tokens(), tokens.length()));
    if (shared.inventory.leisureWaiting(shared.runtime.wallClock().millis())) {
      migrator.wake();
    }
    return lease;
  }

  /** Computes keys only as far as chunks are found, so that a miss is cheap however long the prompt. */
  private Lookup lookup(KeyChain chain, Acceptance usable) {
    List<ChunkKey> keys = new ArrayList<>();
    int wanted = 1;
    while (true) {
      while (keys.size() < Math.min(wanted, chain.chunks())) {
        keys.add(chain.key(keys.size()));
      }
      boolean more = keys.size() < chain.chunks();
      Lookup found = shared.inventory.lookup(chain.root(), keys, more, usable);
      if (found.complete()) {
        return found;
      }
      wanted = keys.size() * KEY_STEP_FACTOR;
    }
  }

  private void release(Lookup found) {
    if (!found.chunks().isEmpty()) {
      shared.inventory.release(found.chunks().getLast().position().below());
    }
  }

  static long nanos(Duration duration) {
    return duration.compareTo(Duration.ofNanos(Long.MAX_VALUE)) >= 0 ? Long.MAX_VALUE : duration.toNanos();
  }

  private NamespaceLimits limits(Namespace namespace) {
    return limits == null ? NamespaceLimits.none()
        : Objects.requireNonNull(limits.apply(namespace), "limits of a namespace");
  }

  private void limit(ChunkKey root, NamespaceLimits of) {
    if (shared.inventory.quotas().limit(root, of.quotaBytes(), shared.tiers.size())) {
      migrator.wake();
    }
  }

  /** Takes note of the limits of a namespace that is only read, where they can be told. */
  private void noteLimits(Namespace namespace, ChunkKey root) {
    if (limits != null) {
      try {
        limit(root, limits(namespace));
      } catch (RuntimeException e) {
        shared.counters.pluginFailures.increment();
      }
    }
  }

  /** When what is reserved now expires; no clock, however wrong, makes that a time that stands for something else. */
  private static long expiry(Duration timeToLive, long nowMillis) {
    if (timeToLive.isZero() || timeToLive.compareTo(Duration.ofMillis(Stored.NEVER)) >= 0) {
      return Stored.NEVER;
    }
    long millis = timeToLive.toMillis();
    return nowMillis > Stored.NEVER - millis ? Stored.NEVER : Math.max(1, nowMillis + millis);
  }

  @Override
  public KvReservation reserve(Namespace namespace, Tokens tokens, StoreOptions options) {
    Objects.requireNonNull(options, "options");
    KeyChain chain = chain(namespace, tokens);
    List<ChunkKey> keys = allKeys(chain);
    memo.remember(chain, tokens);
    NamespaceLimits of = limits(namespace);
    limit(chain.root(), of);
    if (!options.prefillTime().isZero()) {
      shared.delays.observeRecompute(tokens.length(), options.prefillTime().toNanos());
      shared.tellDelays();
    }
    options.scores().requireShape(layout, tokens.length());
    TokenScores scores = options.scores().only(shared.qualities.scored());
    long now = shared.runtime.wallClock().millis();
    Duration timeToLive = options.timeToLive().isZero() ? of.timeToLive() : options.timeToLive();
    Claim claim = shared.inventory.claim(chain.root(), keys, scores,
        shared.qualities.each(options.leastQuality()), now, expiry(timeToLive, now));
    if (claim.first() == keys.size()) {
      return new Reservation.Unreserved(Status.STORED);
    }
    if (claim.missing().length == 0) {
      return new Reservation.Unreserved(Status.PENDING);
    }
    if (claim.placement().isEmpty()) {
      return new Reservation.Unreserved(Status.DECLINED);
    }
    Reservation reservation;
    try {
      reservation = new Reservation(shared, claim, of.quotaBytes(), migrator::wake);
    } catch (RuntimeException badPlacement) {
      shared.inventory.unclaim(claim);
      throw badPlacement;
    }
    Deadline deadline = Deadline.after(nanos(options.waitForRoom()), shared.runtime.nanoTime());
    Status status = Status.FULL;
    try {
      status = claimRoom(reservation, deadline);
    } finally {
      if (status != Status.RESERVED) {
        reservation.close();
      }
    }
    if (status == Status.RESERVED) {
      migrator.wake();
      return reservation;
    }
    if (reservation.fits()) {
      reservation.wantRoom(migrator);
    }
    if (reservation.tier().owesRemovals()) {
      migrator.wake(); // what it still has to remove may be the very entries, for which there is no room before
    }
    (status == Status.QUOTA ? shared.counters.overQuota : shared.counters.rejected).increment();
    return new Reservation.Unreserved(status);
  }

  private Status claimRoom(Reservation reservation, Deadline deadline) {
    while (true) {
      long seen = shared.inventory.changes();
      Status status = reservation.claim();
      if (status == Status.RESERVED || !reservation.fits()) {
        return status;
      }
      reservation.wantRoom(migrator);
      if (shared.closed() || !shared.inventory.awaitChange(seen, deadline.remainingNanos())) {
        return status;
      }
    }
  }

  @Override
  public void prefetch(Namespace namespace, Tokens tokens) {
    KeyChain chain = chain(namespace, tokens);
    if (chain.chunks() > 0) {
      noteLimits(namespace, chain.root());
      shared.inventory.wishFor(chain.root(), allKeys(chain));
      migrator.wake();
    }
  }

  @Override
  public int remove(Namespace namespace, Tokens tokens) throws IOException {
    KeyChain chain = chain(namespace, tokens);
    return chain.chunks() == 0 ? 0
        : erase(shared.inventory.removals().removeContext(chain.root(), allKeys(chain)));
  }

  @Override
  public int clear(Namespace namespace) throws IOException {
    requireMine(namespace);
    return erase(shared.inventory.removals().removeNamespace(KeyChain.root(namespace)));
  }

  private int erase(Removed removed) throws IOException {
    // What a claim has committed of it must be taken back before the tiers can promise that it is gone.
    shared.inventory.removals().awaitEnd(removed.cancelled(), shared::closed);
    // A move that began before may still write what was just removed; it takes it back itself when it sees that.
    // Waited for here: I/O threads are for those who have something to do.
    migrator.settle();
    IOException problem = Tasks.onIo(shared.runtime, () -> eraseFromTiers(removed));
    throwUnlessClosed(problem);
    return removed.chunks();
  }

  private IOException eraseFromTiers(Removed removed) {
    IOException problem = null;
    for (TierHandle tier : shared.tiers) {
      List<EntryId> ids = removed.entries().getOrDefault(tier.index, List.of());
      try {
        tier.remove(ids);
        if (!ids.isEmpty()) {
          shared.events.accept(new CacheEvent.Dropped(tier.name(), ids.size(), DropCause.REMOVED));
        }
      } catch (IOException e) {
        problem = e;
      }
    }
    return problem;
  }

  @Override
  public Flushed flush() throws IOException {
    shared.requireOpen();
    Flusher.Outcome outcome = flusher.flush();
    throwUnlessClosed(outcome.problem());
    return outcome.flushed();
  }

  /** What fails because the tiers were closed meanwhile is no fault of theirs. */
  private void throwUnlessClosed(IOException problem) throws IOException {
    if (problem != null) {
      shared.requireOpen();
      throw problem;
    }
  }

  @Override
  public KvControl control() {
    return control;
  }

  @Override
  public CacheStats stats() {
    Counters counters = shared.counters;
    return new CacheStats(counters.lookups.sum(), counters.requestedTokens.sum(), counters.hitTokens.sum(),
        counters.storedTokens.sum(), counters.rejected.sum(), counters.overQuota.sum(),
        counters.profiled.sum(),
        counters.probeFailures.sum(), counters.pluginFailures.sum(), events.dropped(),
        counters.openLeases.get(),
        counters.openReservations.get(), shared.staging.taken() + shared.moverStaging.taken(),
        LargePages.bytes(),
        shared.inventory.insights().segments(),
        shared.inventory.insights().chunks(),
        shared.tiers.stream().map(TierHandle::stats).toList(),
        counters.loads(tier -> shared.tiers.get(tier).name(), shared.codecs::name));
  }

  @Override
  public synchronized void close() {
    List<RuntimeException> problems = new ArrayList<>();
    if (!shared.closed()) {
      shared.close();
      shared.inventory.wakeAll();
      migrator.settleWithin(LONGEST_WAIT_NANOS);
      int leases = shared.counters.openLeases.get();
      int reservations = shared.counters.openReservations.get();
      if (leases + reservations > 0) {
        problems.add(new IllegalStateException(
            leases + " leases and " + reservations + " reservations were open when the cache was closed"));
      }
      try {
        shared.runtime.onClose().run();
      } catch (RuntimeException e) {
        problems.add(new IllegalStateException("the threads could not be stopped", e));
      }
      shared.staging.close();
      shared.moverStaging.close();
    }
    closeTiers(problems);
    if (!problems.isEmpty()) {
      RuntimeException first = problems.removeFirst();
      problems.forEach(first::addSuppressed);
      throw first;
    }
  }

  /** Closes what could not be closed before, too. */
  private void closeTiers(List<RuntimeException> problems) {
    for (TierHandle tier : shared.tiers) {
      try {
        tier.close();
      } catch (IOException | RuntimeException e) {
        problems.add(new IllegalStateException("tier " + tier.name() + " could not be closed cleanly", e));
      }
    }
  }
}
