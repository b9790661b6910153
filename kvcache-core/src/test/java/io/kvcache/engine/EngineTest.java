package io.kvcache.engine;

import io.kvcache.CacheEvent;
import io.kvcache.DType;
import io.kvcache.KvCache;
import io.kvcache.KvCacheBuilder;
import io.kvcache.KvLayout;
import io.kvcache.LayerSpec;
import io.kvcache.Namespace;
import io.kvcache.placement.LruPlacement;
import io.kvcache.spi.CacheRuntime;
import io.kvcache.spi.PlacementPolicy;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierTrait;
import io.kvcache.testkit.CheckedPolicy;
import io.kvcache.testkit.LeakCheck;
import io.kvcache.testkit.ManualClock;
import io.kvcache.testkit.ManualExecutor;
import io.kvcache.testkit.MemoryTier;
import io.kvcache.testkit.TestPrompt;
import io.kvcache.testkit.TrailingZerosCompressor;
import io.kvcache.testkit.TruncatingCompressor;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;
import java.util.function.Supplier;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Timeout;

/** A cache over tiers in memory, and a check after each test that nothing is left open. */
@Timeout(60)
abstract class EngineTest {
  static final KvLayout LAYOUT = new KvLayout(
      List.of(LayerSpec.of(2, 4, DType.F16), new LayerSpec(1, 12, 0, DType.BF16, 0),
          LayerSpec.of(2, 4, DType.F16)),
      16);
  static final int CHUNK_TOKENS = LAYOUT.chunkTokens();
  static final Namespace NAMESPACE = Namespace.of("model", LAYOUT);
  static final Set<TierTrait> MEMORY = Set.of(TierTrait.ADDRESSABLE);
  static final Set<TierTrait> DISK = Set.of(TierTrait.DURABLE);
  /** What a raw chunk takes in a tier. */
  static final long CHUNK_ROOM = chunkRoom();

  final Queue<CacheEvent> events = new ConcurrentLinkedQueue<>();
  final ManualExecutor background = new ManualExecutor();
  final ManualClock clock = new ManualClock();
  /** What the wall clock shows when {@link #clock} is at 0. */
  long wallMillis = 1_800_000_000_000L;
  private final List<MemoryTier> media = new ArrayList<>();
  private KvCache cache;

  private static long chunkRoom() {
    MemoryTier tier = new MemoryTier("measured", 1 << 20, MEMORY);
    try (KvCache cache = KvCache.builder(LAYOUT).tier(tier).open()) {
      prompt(1, 1).store(cache);
      return tier.usage().usedBytes();
    }
  }

  static TestPrompt prompt(int number, int chunks) {
    return TestPrompt.of(NAMESPACE, number, chunks);
  }

  /** A tier with room for so many chunks, checked for leaks at the end. */
  MemoryTier tier(String name, Set<TierTrait> traits, int chunks) {
    return checked(new MemoryTier(name, chunks * CHUNK_ROOM, traits));
  }

  MemoryTier checked(MemoryTier tier) {
    media.add(tier);
    return tier;
  }

  /** Real time and threads; events on the thread that causes them. */
  KvCache open(Tier... tiers) {
    CacheRuntime system = CacheRuntime.system();
    return open(
        builder(LruPlacement.raw(), new CacheRuntime(system.nanoTime(), system.wallClock(), system.random(),
            system.io(), system.background(), Runnable::run, system.onClose()), tiers));
  }

  /** One thread; time, of both clocks, and background work stand still until told otherwise. */
  KvCache openStill(PlacementPolicy policy, Tier... tiers) {
    return open(builder(policy, still(clock), tiers));
  }

  CacheRuntime still(LongSupplier time) {
    InstantSource wall =
        () -> Instant.ofEpochMilli(wallMillis + TimeUnit.NANOSECONDS.toMillis(clock.getAsLong()));
    return new CacheRuntime(time, wall, new Random(1), Runnable::run, background,
        Runnable::run,
        () -> {});
  }

  /** Runs a step on a thread of its own. */
  static <T> CompletableFuture<T> elsewhere(Supplier<T> step) {
    return CompletableFuture.supplyAsync(step, task -> Thread.ofPlatform().daemon().start(task));
  }

  KvCacheBuilder builder(PlacementPolicy policy, CacheRuntime runtime, Tier... tiers) {
    KvCacheBuilder builder = KvCache.builder(LAYOUT)
        .compressors(new TrailingZerosCompressor(), new TruncatingCompressor())
        .policy(new CheckedPolicy(policy))
        .listener(events::add)
        .runtime(runtime);
    for (Tier tier : tiers) {
      builder.tier(tier);
    }
    return builder;
  }

  KvCache open(KvCacheBuilder builder) {
    cache = builder.open();
    return cache;
  }

  /** Closes the cache as in a clean restart, having checked it. */
  void close(MemoryTier... tiers) {
    LeakCheck.close(cache, tiers);
    cache = null;
  }

  /** For tests whose cache ends in another way. */
  void abandon() {
    cache = null;
    media.clear();
  }

  @AfterEach
  void nothingIsLeftOpen() {
    if (cache != null) {
      LeakCheck.close(cache);
    }
    for (MemoryTier medium : media) {
      LeakCheck.await("writes or views open in " + medium.name(), () -> medium.openHandles() == 0);
    }
  }

  <T extends CacheEvent> List<T> events(Class<T> type) {
    return events.stream().filter(type::isInstance).map(type::cast).toList();
  }
}
