package io.kvcache.bench.jmh;

import io.kvcache.DType;
import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.KvLayout;
import io.kvcache.placement.UtilityPlacement;
import io.kvcache.spi.DelayLine;
import io.kvcache.spi.Move;
import io.kvcache.spi.Placement;
import io.kvcache.spi.PlacementEvent;
import io.kvcache.spi.PlacementPolicy.CacheInfo;
import io.kvcache.spi.PlacementPolicy.TierInfo;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * What the decision costs: one insertion with everything it brings about, in three full tiers. A new segment is
 * admitted and placed; plans are asked for until every tier fits again and carried out at once, their events told to
 * the policy; one resident segment is hit, by Zipf's law
 * and the younger the likelier, so that contents change. Writing costs nothing, lest most be declined. No bytes exist.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 3, time = 3)
@Measurement(iterations = 5, time = 3)
@Fork(1)
public class PlacementBenchmark {
  private static final long CHUNK_BYTES = 4L << 20;
  private static final int CHUNKS = 8;
  private static final int TIERS = 3;
  private static final long NANOS_BETWEEN = 1_000_000;

  /** Segments stored when it is measured, roughly. */
  @Param({"1000", "100000"})
  public int segments;

  private final SplittableRandom random = new SplittableRandom(1);
  private final List<BenchSegment> resident = new ArrayList<>();
  private final long[] capacity = new long[TIERS];
  private final long[] used = new long[TIERS];
  private NominalCodings codings;
  private UtilityPlacement policy;
  private long calls;
  private long carriedOut;
  private long firstId;
  private long nextId;
  private long now;

  /** Fills the tiers. */
  @Setup
  public void fill() {
    List<Encoding> candidates = new ArrayList<>(List.of(Encoding.of(8), Encoding.of(4)));
    for (DropMethod method : List.of(DropMethod.KNORM, DropMethod.KEYDIFF, DropMethod.SNAPKV)) {
      for (int percent : new int[] {80, 60, 40, 20}) {
        candidates.add(Encoding.RAW.keeping(method, percent));
      }
      candidates.add(Encoding.of(8).keeping(method, 50));
      candidates.add(Encoding.of(4).keeping(method, 50));
    }
    codings = new NominalCodings(CHUNK_BYTES);
    policy = UtilityPlacement.builder().alpha(1).candidates(candidates).writeCost(0).build();
    long bytes = segments * CHUNKS * CHUNK_BYTES;
    List<TierInfo> tiers = new ArrayList<>();
    // An eighth of what the segments take raw, so that compression, moves and drops all happen.
    for (int index = 0; index < TIERS; index++) {
      int tier = index;
      capacity[tier] = bytes / 168 * (1L << (2 * tier));
      tiers.add(new TierInfo("tier-" + tier, capacity[tier], () -> used[tier], Set.of()));
    }
    KvLayout layout = KvLayout.uniform(32, 8, 128, DType.BF16);
    policy.start(new CacheInfo(tiers, codings, layout.chunkTokens(), halfLifeNanos()));
    double bandwidth = 20e9;
    for (int tier = 0; tier < TIERS; tier++) {
      policy.on(new PlacementEvent.LoadDelay(tier, Encoding.RAW, new DelayLine(1 / bandwidth, 1e-3)), now);
      policy.on(new PlacementEvent.StoreDelay(tier, new DelayLine(1 / bandwidth, 1e-3)), now);
      bandwidth /= 5;
    }
    policy.on(new PlacementEvent.RecomputeDelay(new DelayLine(1e-4, 0)), now);
    for (int segment = 0; segment < 3 * segments; segment++) {
      insertion();
    }
    calls = 0;
    carriedOut = 0;
    firstId = nextId;
  }

  /** Says what was measured: how many were stored and not declined, and what it brought about. */
  @TearDown
  public void report() {
    System.out.printf("%n# %d segments stored; of 100 offered %.0f admitted, %.0f operations%n",
        resident.size(),
        100.0 * (nextId - firstId) / calls, 100.0 * carriedOut / calls);
  }

  private long halfLifeNanos() {
    return segments * NANOS_BETWEEN;
  }

  /** One insertion and one hit. */
  @Benchmark
  public int insertion() {
    calls++;
    now += NANOS_BETWEEN;
    Optional<Placement> placement = policy.admit(BenchSegment.ROOT, null, CHUNKS, now);
    int operations = 0;
    if (placement.isPresent()) {
      BenchSegment segment = new BenchSegment(nextId++, CHUNKS, halfLifeNanos(), random);
      segment.used(now);
      segment.position = resident.size();
      resident.add(segment);
      place(segment, placement.get());
      operations = relieve();
    }
    hit();
    return operations;
  }

  private int relieve() {
    int operations = 0;
    for (int tier = 0; tier < TIERS; tier++) {
      while (used[tier] > capacity[tier]) {
        for (Move move : policy.plan(tier, used[tier] - capacity[tier], now)) {
          carryOut(move);
          operations++;
        }
      }
    }
    return operations;
  }

  private void hit() {
    if (!resident.isEmpty()) {
      int rank = (int) Math.pow(resident.size(), random.nextDouble()) - 1;
      BenchSegment segment = resident.get(Math.clamp(resident.size() - 1L - rank, 0, resident.size() - 1));
      segment.used(now);
      policy.on(new PlacementEvent.Hit(List.of(segment)), now).forEach(this::carryOut);
      relieve();
    }
  }

  private void place(BenchSegment segment, Placement at) {
    segment.place(at, codings.expectedChunkBytes(at.encoding()), codings.variantClass(at.encoding()));
    used[at.tier()] += segment.bytesIn(at.tier());
    policy.on(new PlacementEvent.Placed(segment, at.tier()), now);
  }

  private void carryOut(Move move) {
    carriedOut++;
    BenchSegment segment = (BenchSegment) move.segment();
    switch (move) {
      case Move.Drop(var ignored, int tier, var classes) -> leave(segment, tier);
      case Move.Transfer(var ignored, int from, Placement to, boolean keepSource) -> {
        used[to.tier()] -= segment.bytesIn(to.tier());
        segment.leave(to.tier());
        place(segment, to);
        if (!keepSource && from != to.tier()) {
          leave(segment, from);
        }
      }
    }
  }

  private void leave(BenchSegment segment, int tier) {
    used[tier] -= segment.bytesIn(tier);
    segment.leave(tier);
    policy.on(new PlacementEvent.Left(segment, tier), now);
    if (segment.variants().isEmpty()) {
      BenchSegment last = resident.removeLast();
      if (last != segment) {
        resident.set(segment.position, last);
        last.position = segment.position;
      }
      policy.on(new PlacementEvent.Gone(segment), now);
    }
  }
}
