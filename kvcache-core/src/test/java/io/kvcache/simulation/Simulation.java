package io.kvcache.simulation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.AcquireOptions;
import io.kvcache.CacheStats;
import io.kvcache.ChunkKey;
import io.kvcache.Explanation;
import io.kvcache.KvCache;
import io.kvcache.KvCacheBuilder;
import io.kvcache.KvControl.Profiling;
import io.kvcache.KvReservation;
import io.kvcache.KvReservation.Status;
import io.kvcache.Namespace;
import io.kvcache.NamespaceLimits;
import io.kvcache.StoreOptions;
import io.kvcache.simulation.Workload.Prompt;
import io.kvcache.spi.CacheRuntime;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.PlacementPolicy;
import io.kvcache.testkit.CheckedPolicy;
import io.kvcache.testkit.ManualClock;
import io.kvcache.testkit.ManualExecutor;
import io.kvcache.testkit.RandomPolicy;
import io.kvcache.testkit.TruncatingCompressor;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;

/**
 * One run of the whole engine on one thread, with time, background work, faults, power loss and restarts
 * drawn from a seed, against {@link Model}. Every read byte is checked.
 */
final class Simulation {
  private static final int MOST_OPEN = 4;
  private static final long START_MILLIS = 1_800_000_000_000L;
  private static final AcquireOptions ANYTHING = AcquireOptions.any().acceptingPruned();
  private static final long LONG_NANOS = TimeUnit.MINUTES.toNanos(2);
  private static final long DAY_MILLIS = TimeUnit.DAYS.toMillis(1);

  private final Setup setup;
  private final long seed;
  private final SplittableRandom random;
  private final ManualClock clock;
  private final Workload workload;
  private final Model model;
  private final Media media;
  private final List<OpenLease> leases = new ArrayList<>();
  private final List<OpenReservation> reservations = new ArrayList<>();
  private ManualExecutor background;
  private PlacementPolicy decider;
  private CheckedPolicy policy;
  private Asking probe;
  private KvCache cache;
  /** By how much the wall clock is wrong. */
  private long jumpMillis;
  private long hitTokens;
  private String at;

  Simulation(Setup setup, long seed) {
    this.setup = setup;
    this.seed = seed;
    this.random = new SplittableRandom(seed);
    this.clock = new ManualClock(random.nextLong(-LONG_NANOS, LONG_NANOS));
    this.workload = new Workload(setup.layout(), setup.prompts(), random);
    this.model = new Model(workload);
    this.media = new Media(setup, clock, random);
    this.at = "seed=" + seed;
    open();
  }

  private void open() {
    background = new ManualExecutor();
    decider = setup.policy(random.split());
    policy = new CheckedPolicy(decider);
    probe = new Asking(setup.layout(), workload, clock, random.split());
    KvCacheBuilder builder = KvCache.builder(setup.layout())
        .compressors(setup.compressors().toArray(Compressor[]::new))
        .policy(policy)
        .probe(probe, Duration.ofSeconds(30))
        .limits(namespace -> setup.told().apply(limits(namespace)))
        .runtime(new CacheRuntime(clock, () -> Instant.ofEpochMilli(wallMillis()),
            new Random(random.nextLong()), Runnable::run, background, Runnable::run, () -> {}));
    media.tiers().forEach(builder::tier);
    cache = builder.open();
  }

  private long wallMillis() {
    return START_MILLIS + TimeUnit.NANOSECONDS.toMillis(clock.getAsLong()) + jumpMillis;
  }

  private NamespaceLimits limits(Namespace namespace) {
    return setup.limits().get(workload.namespaces().indexOf(namespace));
  }

  /** Runs so many operations, then settles and checks what must be true of a cache at rest. */
  long run(int operations) {
    for (int step = 0; step < operations; step++) {
      at = "seed=" + seed + " step=" + step;
      model.expire(wallMillis());
      attempt(this::step);
      checkStats();
    }
    at = "seed=" + seed + " at the end";
    settle();
    return hitTokens;
  }

  /** Something during which the power may fail; then the cache is opened again. */
  private void attempt(Runnable something) {
    try {
      something.run();
      probe.rethrow();
    } catch (PowerLoss e) {
      assertTrue(media.power().off(), at);
    }
    // Who reads ahead takes a read that fails in any way for a miss, and goes on.
    if (media.power().off()) {
      attempt(() -> crash(false));
    }
  }

  private void step() {
    if (setup.crashing() && random.nextInt(60) == 0) {
      media.power().failAfter(random.nextInt(40), random);
    }
    int dice = random.nextInt(setup.crashing() ? 108 : 100);
    switch (Integer.valueOf(dice)) {
      case Integer each when each < 20 -> store();
      case Integer each when each < 26 -> reserve();
      case Integer each when each < 35 -> advanceReservation();
      case Integer each when each < 56 -> lookUp();
      case Integer each when each < 62 -> keepLease();
      case Integer each when each < 72 -> useLease();
      case Integer each when each < 75 -> prefetch();
      case Integer each when each < 78 -> remove();
      case 78 -> clear();
      case Integer each when each < 82 -> flush();
      case Integer each when each < 94 -> background.runAny(random);
      case Integer each when each < 97 -> passTime();
      case 97 -> media.setFaults(random.nextBoolean());
      case 98 -> crash(random.nextInt(3) > 0);
      case 99 -> restart(random.nextInt(3) > 0);
      case Integer each when each < 104 -> profile();
      case Integer each when each < 106 -> explain();
      default -> report();
    }
  }

  /** Time passes, or someone sets the wall clock. */
  private void passTime() {
    if (random.nextInt(12) > 0) {
      clock.advance(random.nextLong(LONG_NANOS));
    } else {
      jumpMillis = random.nextInt(3) == 0 ? 0 : random.nextLong(-DAY_MILLIS, DAY_MILLIS);
    }
  }

  private OpenReservation open(Prompt prompt) {
    StoreOptions options = StoreOptions.defaults().replacingBelow(random.nextInt(4) == 0 ? 1 : 0);
    Duration timeToLive = limits(prompt.namespace()).timeToLive();
    if (random.nextInt(5) == 0) {
      timeToLive = Duration.ofMillis(1 + random.nextInt(300_000));
      options = options.timeToLive(timeToLive);
    }
    return open(prompt, options, timeToLive);
  }

  private OpenReservation open(Prompt prompt, StoreOptions wanted, Duration timeToLive) {
    StoreOptions options = wanted;
    if (setup.crashing() && random.nextBoolean()) {
      options = options.scores(workload.scores(prompt, random))
          .prefillTime(Duration.ofMillis(1 + random.nextInt(100)));
    }
    long now = wallMillis();
    KvReservation reservation = cache.reserve(prompt.namespace(), prompt.tokens(), options);
    return new OpenReservation(setup.layout(), prompt, reservation, now, timeToLive, at);
  }

  private void store() {
    OpenReservation reservation = open(workload.any(random));
    if (reservation.reservation().status() == Status.RESERVED) {
      finish(reservation);
    } else {
      Status status = reservation.reservation().status();
      assertTrue(!setup.roomy() || (status != Status.FULL && status != Status.QUOTA),
          at + ": " + status + ", where there is room");
    }
  }

  private void finish(OpenReservation open) {
    while (!open.complete()) {
      open.writeNext();
    }
    boolean committed;
    try {
      committed = open.reservation().commit();
    } catch (PowerLoss e) {
      failed(open);
      throw e;
    }
    open.reservation().close();
    assertFalse(committed && open.removed(), at + ": committed what was removed meanwhile");
    if (committed) {
      model.committed(open.keys(), open.expiryMillis(), open.reservedMillis());
    } else {
      failed(open);
    }
  }

  /** What was removed before its commit began must not be found, not even after a restart. */
  private void failed(OpenReservation open) {
    if (!open.removed()) {
      model.commitFailed(open.keys(), open.expiryMillis());
    }
  }

  private void reserve() {
    OpenReservation open = open(workload.any(random));
    if (open.reservation().status() == Status.RESERVED && reservations.size() < MOST_OPEN) {
      reservations.add(open);
    } else {
      open.reservation().close();
    }
  }

  private void advanceReservation() {
    if (reservations.isEmpty()) {
      return;
    }
    OpenReservation open = Workload.anyOf(reservations, random);
    if (random.nextInt(8) == 0) {
      open.reservation().close();
      reservations.remove(open);
    } else if (open.complete() || random.nextInt(3) == 0) {
      finish(open);
      reservations.remove(open);
    } else {
      open.writeNext();
    }
  }

  private OpenLease acquire(Prompt prompt) {
    AcquireOptions options = switch (random.nextInt(4)) {
      case 0 -> AcquireOptions.any();
      case 1 -> AcquireOptions.atLeast(TruncatingCompressor.QUALITY);
      default -> AcquireOptions.exact();
    };
    if (random.nextInt(8) == 0) {
      options = options.deadline(Duration.ofNanos(random.nextInt(2) * 1_000_000_000L));
    }
    if (random.nextInt(8) == 0) {
      options = options.deadline(Duration.ZERO).awaitingPending();
    }
    if (setup.crashing() && random.nextBoolean()) {
      options = random.nextInt(3) == 0 ? options.acceptingUniformlyPruned() : options.acceptingPruned();
    }
    return acquire(prompt, options);
  }

  private OpenLease acquire(Prompt prompt, AcquireOptions options) {
    long before = wallMillis();
    OpenLease open = new OpenLease(setup.layout(), prompt,
        cache.acquire(prompt.namespace(), prompt.tokens(), options), options, at);
    int chunks = open.lease().tokens() / setup.layout().chunkTokens();
    for (ChunkKey key : prompt.keys().subList(0, chunks)) {
      assertTrue(model.mayExist(key), () -> at + ": found " + key + ", which is not stored, or was removed");
      assertFalse(model.expired(key, before), () -> at + ": found " + key + ", which has expired");
    }
    model.expire(wallMillis());
    int least = setup.roomy() ? model.mustFind(prompt) : 0;
    assertTrue(chunks >= least, at + ": found " + chunks + " chunks, stored are " + least);
    hitTokens += open.lease().tokens();
    return open;
  }

  private void lookUp() {
    OpenLease open = acquire(workload.any(random));
    open.readAll(at);
    open.lease().close();
  }

  private void keepLease() {
    OpenLease open = acquire(workload.any(random));
    if (leases.size() < MOST_OPEN) {
      leases.add(open);
    } else {
      open.lease().close();
    }
  }

  private void useLease() {
    if (leases.isEmpty()) {
      return;
    }
    OpenLease open = Workload.anyOf(leases, random);
    switch (random.nextInt(4)) {
      case 0 -> open.readAll(at);
      case 1 -> open.read(random.nextInt(setup.layout().layers().size()), at);
      case 2 -> open.viewAny(random, at);
      default -> {
        open.lease().close();
        leases.remove(open);
      }
    }
  }

  private void prefetch() {
    Prompt prompt = workload.any(random);
    cache.prefetch(prompt.namespace(), prompt.tokens());
  }

  private void remove() {
    Prompt prompt = workload.any(random);
    try {
      model.removed(prompt, promised(() -> cache.remove(prompt.namespace(), prompt.tokens())));
    } catch (PowerLoss e) {
      model.removed(prompt, false);
      throw e;
    }
    reservations.forEach(open -> open.removed(prompt.keys()));
    try (OpenLease.Closing after = new OpenLease.Closing(acquire(prompt, ANYTHING))) {
      assertTrue(after.chunks() < prompt.keys().size(), at + ": found right after the removal");
    }
  }

  private void clear() {
    Namespace namespace = Workload.anyOf(workload.namespaces(), random);
    try {
      model.cleared(namespace, promised(() -> cache.clear(namespace)));
    } catch (PowerLoss e) {
      model.cleared(namespace, false);
      throw e;
    }
    reservations.forEach(open -> open.cleared(namespace));
  }

  private void profile() {
    Profiling done = cache.control().profile(Duration.ofMillis(random.nextInt(200)));
    assertTrue(done.profiledSegments() >= 0 && done.waitingSegments() >= 0, at);
  }

  private void explain() {
    Prompt prompt = workload.any(random);
    Explanation why = cache.control().explain(prompt.namespace(), prompt.tokens());
    int token = 0;
    for (Explanation.Segment segment : why.segments()) {
      assertEquals(token, segment.firstToken(), at + ": " + why);
      token += segment.tokens();
    }
    assertFalse(why.text(random.nextInt(4)).isEmpty(), at);
  }

  private void report() {
    Prompt prompt = workload.any(random);
    cache.control().reportQuality(prompt.namespace(), prompt.tokens(), random.nextDouble());
  }

  /** Something that may fail where media do. */
  private interface Attempt {
    int run() throws IOException;
  }

  private boolean promised(Attempt attempt) {
    try {
      attempt.run();
      return true;
    } catch (IOException e) {
      assertTrue(setup.faulty(), () -> at + ": " + e);
      return false;
    }
  }

  private void flush() {
    boolean done = promised(() -> {
      KvCache.Flushed flushed = cache.flush();
      long chunks = flushed.durableChunks() + flushed.volatileChunks();
      assertTrue(chunks <= cache.stats().chunks(), at + ": " + flushed);
      return 0;
    });
    if (done) {
      media.flushed();
    }
  }

  /** Power fails: what is open then is never heard of again. */
  private void crash(boolean flushFirst) {
    if (flushFirst) {
      flush();
    }
    leases.clear();
    reservations.forEach(this::failed);
    reservations.clear();
    media.crash();
    reopened();
  }

  private void restart(boolean flushFirst) {
    if (flushFirst) {
      flush();
    }
    closeCache();
    media.reopen();
    reopened();
  }

  private void closeCache() {
    leases.forEach(open -> open.lease().close());
    leases.clear();
    reservations.forEach(open -> open.reservation().close());
    reservations.clear();
    assertEquals(0, cache.stats().readBuffers(), at + ": buffers in use");
    cache.close();
    assertEquals(0, media.openHandles(), at + ": writes or views open in a tier");
  }

  /** After a restart, everything that a flush promised and the cache left alone since is found. */
  private void reopened() {
    Set<ChunkKey> promised = media.promised().stream().map(EntryId::key).collect(Collectors.toSet());
    model.restarted(promised, wallMillis());
    media.setFaults(false);
    if (setup.crashing() && random.nextInt(8) == 0) {
      media.power().failAfter(random.nextInt(20), random);
    }
    open();
    for (Prompt prompt : workload.prompts()) {
      int least = 0;
      while (least < prompt.keys().size() && promised.contains(prompt.keys().get(least))
          && model.neverExpired(prompt.keys().get(least), wallMillis())) {
        least++;
      }
      try (OpenLease.Closing found = new OpenLease.Closing(acquire(prompt, ANYTHING))) {
        assertTrue(found.chunks() >= least,
            at + ": found " + found.chunks() + " chunks after the restart, promised were " + least);
      }
    }
    media.setFaults(random.nextBoolean());
  }

  private void checkStats() {
    CacheStats stats = cache.stats();
    assertEquals(leases.size(), stats.openLeases(), at);
    assertEquals(reservations.size(), stats.openReservations(), at);
    for (int tier = 0; tier < stats.tiers().size(); tier++) {
      CacheStats.TierStats each = stats.tiers().get(tier);
      assertTrue(each.usedBytes() <= each.capacityBytes(), at + ": " + each);
      assertTrue(setup.faulty() || each.errors() + each.corruptChunks() + each.missingChunks() == 0,
          () -> at + ": trouble without faults: " + each);
      assertTrue(!setup.roomy() || each.evictedChunks() == 0,
          () -> at + ": evicted where there is room: " + each);
    }
    if (!setup.faulty() && !setup.crashing()) {
      checkQuotas();
    }
  }

  private void checkQuotas() {
    for (Namespace namespace : workload.namespaces()) {
      for (int tier = 0; tier < setup.tiers().size(); tier++) {
        long bytes = media.entryBytes(tier, workload.keys(namespace));
        assertTrue(bytes <= limits(namespace).quotaBytes(),
            () -> at + ": " + namespace.model() + " has " + bytes + " bytes in a tier, over its quota: "
                + limits(namespace));
      }
    }
  }

  /**
   * Faults stop, everything open is closed: then room is found again, and what is cleared leaves nothing
   * behind.
   */
  private void settle() {
    attempt(() -> leases.forEach(open -> open.readAll(at)));
    media.power().restore();
    leases.forEach(open -> open.lease().close());
    leases.clear();
    reservations.forEach(this::finish);
    reservations.clear();
    media.setFaults(false);
    clock.advance(LONG_NANOS);
    if (decider instanceof RandomPolicy policyWithoutAim) {
      policyWithoutAim.calm();
    }
    prefetch();
    background.runAll();
    assertStorable();
    lookUp();
    flush(); // what was replaced since the last flush still takes room
    checkQuotas();
    for (ChunkKey key : media.keys()) {
      assertFalse(model.expired(key, wallMillis()), at + ": expired, and still in a tier: " + key);
    }
    for (int tier = 0; tier < setup.tiers().size(); tier++) {
      assertEquals(media.inventoryBytes(tier), media.usedBytes(tier),
          at + ": bytes do not add up in tier " + tier);
    }
    for (Namespace namespace : workload.namespaces()) {
      assertTrue(promised(() -> cache.clear(namespace)), at);
    }
    CacheStats stats = cache.stats();
    assertEquals(0, stats.chunks() + stats.segments() + policy.segments(),
        at + ": left after all was cleared");
    assertEquals(0, media.usedBytes(), at + ": bytes in use after all was cleared");
    closeCache();
  }

  /** Liveness: whatever happened, a cache at rest finds room for one prompt again. */
  private void assertStorable() {
    long most = setup.tiers().getFirst().capacityBytes() / Setup.mostChunkBytes(setup.layout());
    Prompt any = workload.any(random);
    long quota = limits(any.namespace()).quotaBytes() / Setup.mostChunkBytes(setup.layout());
    Prompt prompt = workload.startOf(any, (int) Math.min(Math.min(most, quota), Integer.MAX_VALUE));
    for (int attempt = 0; attempt < 8; attempt++) {
      OpenReservation open =
          open(prompt, StoreOptions.defaults(), limits(prompt.namespace()).timeToLive());
      Status status = open.reservation().status();
      if (status == Status.RESERVED) {
        finish(open);
      }
      if (status == Status.RESERVED || status == Status.STORED || status == Status.DECLINED) {
        return;
      }
      background.runAll();
    }
    throw new AssertionError(
        at + ": no room for a prompt of " + prompt.keys().size() + " chunks: " + cache.stats());
  }
}
