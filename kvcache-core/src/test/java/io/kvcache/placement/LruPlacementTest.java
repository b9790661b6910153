package io.kvcache.placement;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.spi.Move;
import io.kvcache.spi.Move.Drop;
import io.kvcache.spi.Move.Transfer;
import io.kvcache.spi.Placement;
import io.kvcache.spi.PlacementEvent.Hit;
import io.kvcache.spi.PlacementEvent.Left;
import io.kvcache.spi.PlacementEvent.Placed;
import io.kvcache.spi.PlacementEvent.Split;
import io.kvcache.spi.PlacementPolicy;
import io.kvcache.spi.PlacementPolicy.CacheInfo;
import io.kvcache.spi.PlacementPolicy.TierInfo;
import io.kvcache.testkit.FakeCodings;
import io.kvcache.testkit.FakeSegment;
import io.kvcache.testkit.PlacementPolicyContract;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;

class LruPlacementTest extends PlacementPolicyContract {
  private static final List<TierInfo> TWO_TIERS =
      List.of(new TierInfo("dram", 1000, () -> 0, Set.of()), new TierInfo("ssd", 5000, () -> 0, Set.of()));
  private static final long ALL = Long.MAX_VALUE;

  private final PlacementPolicy policy = started(LruPlacement.raw());
  private long nextId;
  private long now;

  @Override
  protected PlacementPolicy newPolicy() {
    return LruPlacement.raw();
  }

  private static PlacementPolicy started(PlacementPolicy policy) {
    policy.start(new CacheInfo(TWO_TIERS, FakeCodings.raw(100).withCodec(7, 50, 1), 16, 1_000_000_000L));
    return policy;
  }

  private FakeSegment store(FakeSegment parent, int tier) {
    FakeSegment segment = new FakeSegment(nextId++, parent, 2, 100);
    segment.use(++now);
    place(segment, tier);
    return segment;
  }

  private void place(FakeSegment segment, int tier) {
    segment.place(tier);
    policy.on(new Placed(segment, tier), now);
  }

  private List<Move> hit(FakeSegment segment) {
    segment.use(++now);
    return policy.on(new Hit(segment.path()), now);
  }

  @Test
  void storesInTheFastestTier() {
    assertEquals(Optional.of(new Placement(0, Encoding.RAW)), policy.admit(FakeSegment.ROOT, null, 1, 0));
    assertEquals(Optional.of(new Placement(0, Encoding.of(7))),
        started(LruPlacement.withCodecs(7)).admit(FakeSegment.ROOT, null, 1, 0));
  }

  @Test
  void demotesLeastRecentlyUsedFirst() {
    FakeSegment old = store(null, 0);
    FakeSegment used = store(null, 0);
    FakeSegment young = store(null, 0);
    hit(used);
    assertEquals(List.of(demotion(old), demotion(young), demotion(used)), policy.plan(0, ALL, now));
    assertEquals(List.of(demotion(old)), policy.plan(0, 200, now));
    assertEquals(List.of(demotion(old), demotion(young)), policy.plan(0, 201, now));
  }

  private static Move demotion(FakeSegment segment) {
    return new Transfer(segment, 0, new Placement(1, Encoding.RAW), false);
  }

  @Test
  void keepsItsPlaceInTheOrderWhenItIsMoved() {
    FakeSegment old = store(null, 0);
    FakeSegment young = store(null, 0);
    place(young, 1);
    place(old, 1);
    young.leave(0);
    old.leave(0);
    policy.on(new Left(young, 0), now);
    policy.on(new Left(old, 0), now);
    assertEquals(List.of(new Drop(old, 1), new Drop(young, 1)), policy.plan(1, ALL, now));
  }

  @Test
  void childrenGoBeforeTheirParent() {
    FakeSegment parent = store(null, 0);
    FakeSegment child = store(parent, 0);
    assertEquals(List.of(demotion(child), demotion(parent)), policy.plan(0, ALL, now));
    hit(parent);
    assertEquals(List.of(demotion(child), demotion(parent)), policy.plan(0, ALL, now));
  }

  @Test
  void evictsLeavesOnly() {
    FakeSegment parent = store(null, 1);
    FakeSegment child = store(parent, 1);
    assertEquals(List.of(new Drop(child, 1)), policy.plan(1, ALL, now));
    child.setBusy(true);
    assertTrue(policy.plan(1, ALL, now).isEmpty());
  }

  @Test
  void dropsACopyWhateverFollowsIt() {
    FakeSegment parent = store(null, 0);
    store(parent, 0);
    place(parent, 1);
    assertEquals(List.of(new Drop(parent, 1)), policy.plan(1, ALL, now));
  }

  @Test
  void passesOverWhatIsBusy() {
    FakeSegment leased = store(null, 0);
    FakeSegment free = store(null, 0);
    leased.setBusy(true);
    assertEquals(List.of(demotion(free)), policy.plan(0, ALL, now));
  }

  @Test
  void copiesUpWhatIsHitBelow() {
    FakeSegment above = store(null, 0);
    FakeSegment below = store(above, 1);
    assertEquals(List.of(new Transfer(below, 1, new Placement(0, Encoding.RAW), true)), hit(below));
    place(below, 0);
    assertTrue(hit(below).isEmpty());
  }

  @Test
  void bothPartsOfASplitKeepThePlaceOfTheWhole() {
    FakeSegment whole = store(null, 0);
    FakeSegment young = store(null, 0);
    FakeSegment upper = whole.split(nextId++, 1);
    policy.on(new Split(upper, whole), now);
    assertEquals(List.of(demotion(whole), demotion(upper), demotion(young)), policy.plan(0, ALL, now));
  }

  @Test
  void encodesAsTheTierWants() {
    PlacementPolicy encoding = started(LruPlacement.withCodecs(0, 7));
    FakeSegment segment = new FakeSegment(1, null, 1, 100);
    assertEquals(Encoding.RAW, encoding.persistAs(segment, 0));
    assertEquals(Encoding.of(7), encoding.persistAs(segment, 1));
    segment.place(0);
    encoding.on(new Placed(segment, 0), 0);
    assertEquals(List.of(new Transfer(segment, 0, new Placement(1, Encoding.of(7)), false)),
        encoding.plan(0, 1, 0));
  }

  /** What ranks by the engine's scores needs them kept from the store on. */
  @Test
  void saysWhichOfItsEncodingsDropTokens() {
    Encoding dropping = Encoding.of(7).keeping(DropMethod.H2O, 30);
    assertEquals(List.of(dropping), LruPlacement.withEncodings(dropping, dropping).candidates());
    assertEquals(List.of(), LruPlacement.withCodecs(0, 7).candidates());
  }

  @Test
  void refusesCodecsThatDoNotFitTheCache() {
    IllegalArgumentException many = assertThrows(IllegalArgumentException.class,
        () -> started(LruPlacement.withCodecs(0, 7, 0)));
    assertEquals("codecs are given for 3 tiers, the cache has 2", many.getMessage());
    IllegalArgumentException unknown = assertThrows(IllegalArgumentException.class,
        () -> started(LruPlacement.withCodecs(0, 8)));
    assertEquals("codec 8 is not among the cache's [0, 7]", unknown.getMessage());
  }
}
