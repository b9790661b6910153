package io.kvcache.placement;

import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.spi.Codings;
import io.kvcache.spi.DelayLine;
import io.kvcache.spi.PlacementEvent.LoadDelay;
import io.kvcache.spi.PlacementEvent.Placed;
import io.kvcache.spi.PlacementEvent.RecomputeDelay;
import io.kvcache.spi.PlacementPolicy;
import io.kvcache.spi.PlacementPolicy.CacheInfo;
import io.kvcache.spi.PlacementPolicy.TierInfo;
import io.kvcache.testkit.FakeCodings;
import io.kvcache.testkit.FakeSegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/** A policy by utility over two tiers, and segments that hold no bytes. */
abstract class UtilityFixture {
  static final long ALL = Long.MAX_VALUE / 2;
  static final double GB = 1e9;
  static final Encoding INT8 = Encoding.of(8);
  static final Encoding INT4 = Encoding.of(4);
  static final Encoding KEYDIFF = Encoding.RAW.keeping(DropMethod.KEYDIFF, 40);
  static final Encoding KNORM = Encoding.RAW.keeping(DropMethod.KNORM, 40);
  static final List<Encoding> LOSSY = List.of(INT8, INT4, KEYDIFF, KNORM);

  PlacementPolicy policy;
  long nextId;
  long now;
  final List<FakeSegment> stored = new ArrayList<>();
  final long[] overhead = new long[2];

  static Codings codings(long chunkBytes) {
    return FakeCodings.raw(chunkBytes).withCodec(5, chunkBytes * 3 / 4, 1).withCodec(8, chunkBytes / 2, 0.98)
        .withCodec(4, chunkBytes / 4, 0.9);
  }

  /** Two tiers of 20 and 2 bytes a second, unless a test says otherwise; computing takes a second a chunk. */
  void start(UtilityPlacement.Builder choice, long fastBytes, long slowBytes) {
    policy = choice.build();
    policy
        .start(new CacheInfo(List.of(tier("dram", 0, fastBytes), tier("ssd", 1, slowBytes)), codings(100), 10,
            1_000_000_000L));
    load(0, 1 / 2000.0, 0);
    load(1, 1 / 200.0, 0);
    policy.on(new RecomputeDelay(new DelayLine(0.1, 0)), now);
  }

  /** A tier that has what the segments stored by {@link #store} have in it, and the overhead. */
  TierInfo tier(String name, int tier, long capacityBytes) {
    stored.clear();
    return new TierInfo(name, capacityBytes,
        () -> overhead[tier] + stored.stream().mapToLong(segment -> segment.bytesIn(tier)).sum(), Set.of());
  }

  static UtilityPlacement.Builder choice() {
    return UtilityPlacement.builder();
  }

  void load(int tier, double secondsPerByte, double fixed) {
    policy.on(new LoadDelay(tier, Encoding.RAW, new DelayLine(secondsPerByte, fixed)), now);
  }

  FakeSegment store(FakeSegment parent, int chunks, int tier) {
    FakeSegment segment = new FakeSegment(nextId++, parent, chunks, 100);
    segment.place(tier);
    stored.add(segment);
    policy.on(new Placed(segment, tier), now);
    return segment;
  }
}
