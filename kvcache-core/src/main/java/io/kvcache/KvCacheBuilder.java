package io.kvcache;

import io.kvcache.placement.LruPlacement;
import io.kvcache.spi.CacheRuntime;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.PlacementPolicy;
import io.kvcache.spi.Tier;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * Assembles a {@link KvCache}. A tier given here belongs to the cache from {@link #open} on, which closes it.
 */
public final class KvCacheBuilder {
  private static final int MAX_TIERS = 8;
  private static final int MAX_SEGMENT_CHUNKS = 64;
  private static final long MIN_STAGING_BYTES = 1 << 20;

  private final Function<Settings, KvCache> opener;
  private final KvLayout layout;
  private final List<Tier> tiers = new ArrayList<>();
  private final List<Compressor> compressors = new ArrayList<>();
  private PlacementPolicy policy;
  private Consumer<CacheEvent> listener;
  private Duration frequencyHalfLife = Duration.ofMinutes(10);
  private long stagingBytes = 256L << 20;
  private QualityProbe probe;
  private Duration probeTimeout = Duration.ofSeconds(30);
  private double reprofileBelow = 0.1;
  private int mostSegmentChunks;
  private Function<Namespace, NamespaceLimits> limits;
  private CacheRuntime runtime;

  KvCacheBuilder(KvLayout layout, Function<Settings, KvCache> opener) {
    this.layout = Objects.requireNonNull(layout, "layout");
    this.opener = opener;
  }

  /**
   * Everything chosen.
   *
   * @param layout of all namespaces
   * @param encodedLayout the bytes the layout's fingerprint is taken of
   * @param tiers fastest first
   * @param compressors encodings besides raw
   * @param policy the placement policy
   * @param listener told of events; null when nobody is
   * @param frequencyHalfLife time in which a use comes to count half
   * @param stagingBytes limit of the buffers for reads from tiers that are not addressable
   * @param probe measures qualities; null when they are estimated
   * @param probeTimeout how long one call of it may take
   * @param reprofileBelow by how much quality may fall short of what was measured
   * @param mostSegmentChunks limit of a segment; 0 where tiers set it
   * @param limits what each namespace may take, and for how long; null where nothing is limited
   * @param runtime clocks, threads and randomness
   */
  public record Settings(
      KvLayout layout,
      byte[] encodedLayout,
      List<Tier> tiers,
      List<Compressor> compressors,
      PlacementPolicy policy,
      Consumer<CacheEvent> listener,
      Duration frequencyHalfLife,
      long stagingBytes,
      QualityProbe probe,
      Duration probeTimeout,
      double reprofileBelow,
      int mostSegmentChunks,
      Function<Namespace, NamespaceLimits> limits,
      CacheRuntime runtime) {}

  /** Adds a tier, slower than those added before. */
  public KvCacheBuilder tier(Tier tier) {
    tiers.add(Objects.requireNonNull(tier, "tier"));
    return this;
  }

  /** Adds encodings; raw is always there. */
  public KvCacheBuilder compressors(Compressor... more) {
    compressors.addAll(List.of(more));
    return this;
  }

  /** Decides where segments are and how encoded. Least recently used and raw unless set. */
  public KvCacheBuilder policy(PlacementPolicy placementPolicy) {
    policy = Objects.requireNonNull(placementPolicy, "policy");
    return this;
  }

  /**
   * Is told of events, in order, on a thread of the cache. Nobody waits for it: when it is thousands of events behind
   * it is not told of further ones, which {@link CacheStats#droppedEvents} counts.
   */
  public KvCacheBuilder listener(Consumer<CacheEvent> eventListener) {
    listener = Objects.requireNonNull(eventListener, "listener");
    return this;
  }

  /** Time in which a use comes to count half. 10 minutes unless set. */
  public KvCacheBuilder frequencyHalfLife(Duration halfLife) {
    Checks.requireBetween(halfLife.toNanos(), 1, Long.MAX_VALUE, "nanoseconds of frequencyHalfLife");
    frequencyHalfLife = halfLife;
    return this;
  }

  /**
   * Limit of the buffers for reads from tiers that are not addressable, allocated as needed; two of them are for moves
   * between tiers. 256 MiB unless set; at least 1 MiB, and in any case enough for six parts of the layout.
   */
  public KvCacheBuilder stagingBytes(long bytes) {
    stagingBytes = Checks.requireBetween(bytes, MIN_STAGING_BYTES, Long.MAX_VALUE, "stagingBytes");
    return this;
  }

  /**
   * Measures what lossy encodings do to answers, when {@link KvControl#profile} is called; without one it is estimated
   * from keys and values.
   *
   * @param timeout how long one call may take; after a longer one, or one that fails, the namespace is estimated
   */
  public KvCacheBuilder probe(QualityProbe qualityProbe, Duration timeout) {
    probe = Objects.requireNonNull(qualityProbe, "probe");
    Checks.requireBetween(timeout.toMillis(), 1, Long.MAX_VALUE, "milliseconds of the probe's timeout");
    probeTimeout = timeout;
    return this;
  }

  /**
   * By how much a {@linkplain KvControl#reportQuality reported} quality may fall short of the measured one before the
   * context is measured again, 0 to 1. 0.1 unless set.
   */
  public KvCacheBuilder reprofileBelow(double shortfall) {
    if (!(shortfall >= 0 && shortfall <= 1)) {
      throw new IllegalArgumentException("reprofileBelow is " + shortfall + ", must be 0 to 1");
    }
    reprofileBelow = shortfall;
    return this;
  }

  /**
   * Most chunks that are decided about as one, 1 to 64. Unless set, 64 or what takes an eighth of the smallest tier,
   * so that no move is huge; in tiers that hold few contexts, more lets each be decided about, and its tokens be
   * ranked, as a whole.
   */
  public KvCacheBuilder segmentChunks(int most) {
    mostSegmentChunks = Checks.requireBetween(most, 1, MAX_SEGMENT_CHUNKS, "segmentChunks");
    return this;
  }

  /**
   * What each namespace may take, and for how long. No limits unless set.
   *
   * <p>A quota holds in every tier by itself, and for namespaces, not for the contexts in them: tenants that are to
   * have one each need a {@linkplain Namespace#withTenant salt} each. A reservation that would exceed it is answered
   * {@link KvReservation.Status#QUOTA}, and the namespace's own least recently used contexts make room, never those of
   * others. Of what a restart found again, a namespace's quota is known from the first call on that names it.
   *
   * @param of asked on the caller's thread by every reservation, look-up and prefetch, so that it should be quick; the
   *     latest answer counts. What it throws comes out of {@link KvCache#reserve}; look-ups and prefetches go on with
   *     the answer before
   */
  public KvCacheBuilder limits(Function<Namespace, NamespaceLimits> of) {
    limits = Objects.requireNonNull(of, "limits");
    return this;
  }

  /** Clocks, threads and randomness, for tests. The system's unless set. */
  public KvCacheBuilder runtime(CacheRuntime clocksAndThreads) {
    runtime = Objects.requireNonNull(clocksAndThreads, "runtime");
    return this;
  }

  /**
   * Opens the cache; what durable tiers hold of the layout is found again.
   *
   * @throws IllegalArgumentException when the parts do not fit together; the tiers are then not closed
   */
  public KvCache open() {
    Checks.requireBetween(tiers.size(), 1, MAX_TIERS, "number of tiers");
    Set<String> names = new HashSet<>();
    for (Tier tier : tiers) {
      if (!names.add(tier.name())) {
        throw new IllegalArgumentException("two tiers are named " + tier.name());
      }
    }
    return opener.apply(new Settings(layout, layout.encoded(), List.copyOf(tiers), List.copyOf(compressors),
        policy == null ? LruPlacement.raw() : policy, listener, frequencyHalfLife, stagingBytes, probe,
        probeTimeout, reprofileBelow, mostSegmentChunks, limits,
        runtime == null ? CacheRuntime.system() : runtime));
  }
}
