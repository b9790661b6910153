package io.kvcache.placement;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.spi.DelayLine;
import io.kvcache.spi.Move;
import io.kvcache.spi.Move.Drop;
import io.kvcache.spi.Move.Transfer;
import io.kvcache.spi.Placement;
import io.kvcache.spi.PlacementEvent.Gone;
import io.kvcache.spi.PlacementEvent.Hit;
import io.kvcache.spi.PlacementEvent.Left;
import io.kvcache.spi.PlacementEvent.LoadDelay;
import io.kvcache.spi.PlacementEvent.Placed;
import io.kvcache.spi.PlacementEvent.Profiled;
import io.kvcache.spi.PlacementEvent.RecomputeDelay;
import io.kvcache.spi.PlacementEvent.Split;
import io.kvcache.spi.PlacementEvent.StoreDelay;
import io.kvcache.spi.PlacementPolicy.CacheInfo;
import io.kvcache.spi.PlacementPolicy.Option;
import io.kvcache.spi.SegmentView;
import io.kvcache.spi.VariantClass;
import io.kvcache.testkit.FakeCodings;
import io.kvcache.testkit.FakeSegment;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.RepetitionInfo;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class UtilityPlacementTest extends UtilityFixture {
  private Option option(FakeSegment segment, int tier, Encoding encoding) {
    return policy.explain(segment, now).options().stream()
        .filter(option -> option.placement().equals(Optional.of(new Placement(tier, encoding))))
        .findFirst().orElseThrow();
  }

  @Test
  void utilitiesAreThoseOfTheExampleInEvicPress() {
    start(choice().candidates(List.of(KEYDIFF)), ALL, ALL);
    load(0, 0, 0.05);
    FakeSegment wiki = store(null, 1, 0);
    FakeSegment narrative = store(null, 1, 0);
    wiki.profile(0.657);
    narrative.profile(0.671);
    assertEquals(0.607, option(wiki, 0, KEYDIFF).utility(), 1e-9);
    assertEquals(0.621, option(narrative, 0, KEYDIFF).utility(), 1e-9);
  }

  @Test
  void alphaDecidesBetweenQualityAndDelay() {
    Encoding hard = Encoding.RAW.keeping(DropMethod.KEYDIFF, 60);
    Encoding soft = Encoding.RAW.keeping(DropMethod.KEYDIFF, 80);
    for (double alpha : new double[] {0.39, 0.41}) {
      start(choice().alpha(alpha).candidates(List.of(hard, soft)), ALL, ALL);
      policy.on(new LoadDelay(0, hard, new DelayLine(0, 0.20)), now);
      policy.on(new LoadDelay(0, soft, new DelayLine(0, 0.24)), now);
      FakeSegment segment = store(null, 1, 0);
      segment.profile(0.82, 0.92);
      boolean better = option(segment, 0, soft).utility() > option(segment, 0, hard).utility();
      assertEquals(alpha > 0.4, better, "alpha=" + alpha);
    }
  }

  /** EvicPress, figure 2: 20 and 2 GB/s; one context loses nothing at 5 %, the other half. */
  @Test
  void placesTheTwoContextsOfFigure2Jointly() {
    Encoding twentieth = Encoding.RAW.keeping(DropMethod.KEYDIFF, 5);
    long gb = (long) GB;
    policy = choice().alpha(1000).candidates(List.of(twentieth)).build();
    policy.start(new CacheInfo(List.of(tier("fast", 0, 8 * gb), tier("slow", 1, Long.MAX_VALUE)),
        FakeCodings.raw(gb), 10, 1_000_000_000L));
    load(0, 1 / (20 * GB), 0);
    load(1, 1 / (2 * GB), 0);
    policy.on(new RecomputeDelay(new DelayLine(1, 0)), now);
    FakeSegment one = new FakeSegment(1, null, 4, gb);
    FakeSegment two = new FakeSegment(2, null, 8, gb);
    one.profile(1);
    two.profile(0.5);
    // Moving costs the same for each byte whichever moves; a hair decides for the large one to stay.
    two.setFrequency(1.0001);
    for (FakeSegment context : List.of(one, two)) {
      context.place(0);
      policy.on(new Placed(context, 0), now);
    }
    List<Move> moves = policy.plan(0, 4 * gb, now);
    assertEquals(List.of(new Transfer(one, 0, new Placement(1, twentieth), false)), moves);
    one.leave(0);
    one.place(1, twentieth, VariantClass.SERVING, gb / 20);
    policy.on(new Placed(one, 1), now);
    Option first = option(one, 1, twentieth);
    Option second = option(two, 0, Encoding.RAW);
    assertTrue(first.present() && second.present());
    assertEquals(1.0, (first.quality() + second.quality()) / 2);
    assertEquals(0.5, first.delaySeconds() + second.delaySeconds(), 1e-9);
  }

  @RepeatedTest(20)
  void splittingChangesNoUtility(RepetitionInfo run) {
    long seed = Long.getLong("test.seed", run.getCurrentRepetition());
    SplittableRandom random = new SplittableRandom(seed);
    start(choice().alpha(random.nextDouble(3)).candidates(LOSSY), ALL, ALL);
    policy.on(new LoadDelay(0, Encoding.RAW, new DelayLine(1e-3, random.nextDouble())), now);
    FakeSegment parent = random.nextBoolean() ? store(null, 3, random.nextInt(2)) : null;
    FakeSegment segment = new FakeSegment(nextId++, parent, 2 + random.nextInt(60), 100);
    segment.setFrequency(random.nextDouble(9));
    if (random.nextBoolean()) {
      segment.profile(random.nextDouble(), random.nextDouble(), random.nextDouble(), random.nextDouble());
    }
    Encoding encoding = List.of(Encoding.RAW, INT8, KNORM, KEYDIFF).get(random.nextInt(4));
    VariantClass variantClass = encoding.equals(Encoding.RAW) ? VariantClass.FULL : VariantClass.SERVING;
    segment.place(random.nextInt(2), encoding, variantClass, codings(100).expectedChunkBytes(encoding));
    policy.on(new Placed(segment, segment.variants().getFirst().tier()), now);
    Standing standing = standing();
    double before = loss(standing, segment);
    FakeSegment upper = segment.split(nextId++, 1 + random.nextInt(segment.chunks() - 1));
    policy.on(new Split(upper, segment), now);
    double after = loss(standing, upper) + loss(standing, segment);
    assertEquals(before, after, 1e-9 * Math.abs(before), "seed=" + seed);
  }

  private final Space space = new Space(LOSSY.size());

  private Standing standing() {
    EncodingTable table = new EncodingTable(codings(100), List.of(5), LOSSY);
    Delays delays = new Delays(table, 2, 10);
    delays.load(0, 0, new DelayLine(1e-3, 0.7));
    delays.load(1, 0, new DelayLine(1e-2, 1.3));
    space.context(40);
    return new Standing(table, delays, 1.5, 2);
  }

  private double loss(Standing standing, FakeSegment segment) {
    standing.of(segment, space);
    return standing.present() * segment.frequency(now);
  }

  @Test
  void takesTheLeastLossForEachByteFirst() {
    start(choice().alpha(0.01).candidates(List.of(INT8)), 1000, ALL);
    FakeSegment sturdy = store(null, 2, 0);
    FakeSegment delicate = store(null, 2, 0);
    sturdy.profile(1.0);
    delicate.profile(0.0);
    policy.on(new Profiled(sturdy), now);
    policy.on(new Profiled(delicate), now);
    assertEquals(List.of(new Transfer(sturdy, 0, new Placement(0, INT8), false)), policy.plan(0, 100, now));
  }

  @Test
  void dropsWhatIsComputedFasterThanLoaded() {
    start(choice(), 1000, ALL);
    policy.on(new RecomputeDelay(new DelayLine(0.001, 0)), now);
    FakeSegment segment = store(null, 2, 1);
    assertEquals(List.of(new Drop(segment, 1)), policy.plan(1, 1, now));
    assertEquals(Optional.empty(), policy.explain(segment, now).options().getFirst().placement());
    assertTrue(policy.admit(FakeSegment.ROOT, null, 2, now).isEmpty(), "computing is as fast as loading");
  }

  @Test
  void aParentIsDroppedOnceItsChildrenAreGone() {
    start(choice(), 1000, 1000);
    FakeSegment parent = store(null, 1, 1);
    FakeSegment child = store(parent, 1, 1);
    assertEquals(List.of(new Drop(child, 1)), policy.plan(1, ALL, now));
    child.leave(1);
    child.detach();
    policy.on(new Gone(child), now);
    assertEquals(List.of(new Drop(parent, 1)), policy.plan(1, ALL, now));
  }

  @Test
  void roomInAFullTierCostsWhatGoesFromThere() {
    start(choice(), 1000, 300);
    FakeSegment popular = store(null, 2, 1);
    popular.setFrequency(100);
    policy.on(new Hit(popular.path()), now);
    FakeSegment rare = store(null, 1, 0);
    assertEquals(List.of(new Drop(rare, 0)), policy.plan(0, 1, now));
    popular.leave(1);
    policy.on(new Left(popular, 1), now);
    assertEquals(List.of(new Transfer(rare, 0, new Placement(1, Encoding.RAW), false)),
        policy.plan(0, 1, now));
  }

  @Test
  void whatATierTakesForItselfIsNoRoom() {
    start(choice(), 1000, 1000);
    FakeSegment popular = store(null, 2, 1);
    popular.setFrequency(100);
    policy.on(new Hit(popular.path()), now);
    FakeSegment rare = store(null, 1, 0);
    assertEquals(List.of(new Transfer(rare, 0, new Placement(1, Encoding.RAW), false)),
        policy.plan(0, 1, now), "the slow tier has 700 bytes left");
    overhead[1] = 700;
    assertEquals(List.of(new Drop(rare, 0)), policy.plan(0, 1, now));
  }

  @Test
  void aFullCopyIsMadeBeforeTheLastIsEncodedLossily() {
    start(choice().alpha(0).candidates(List.of(INT8)).keepFull(true), 1000, ALL);
    FakeSegment segment = store(null, 2, 0);
    assertEquals(List.of(new Transfer(segment, 0, new Placement(1, Encoding.RAW), true),
        new Transfer(segment, 0, new Placement(0, INT8), false)), policy.plan(0, 100, now));
    segment.leave(0);
    segment.place(0, INT8, VariantClass.SERVING, 50);
    segment.place(1);
    policy.on(new Placed(segment, 0), now);
    policy.on(new Placed(segment, 1), now);
    assertEquals(List.of(new Drop(segment, 1, EnumSet.of(VariantClass.FULL))), policy.plan(1, 1, now));
  }

  @Test
  void aHigherRateIsMadeFromTheFullCopy() {
    start(choice().alpha(0).candidates(List.of(INT8, INT4)), 1000, 1000);
    FakeSegment segment = new FakeSegment(nextId++, null, 2, 100);
    segment.place(0, INT8, VariantClass.SERVING, 50);
    segment.place(1);
    policy.on(new Placed(segment, 0), now);
    policy.on(new Placed(segment, 1), now);
    assertEquals(List.of(new Transfer(segment, 1, new Placement(0, INT4), true)), policy.plan(0, 1, now));
  }

  /** Goal: what cannot be pruned once more is pruned as far as pays at the price that room had of late. */
  @Test
  void pruningGoesAsFarAsRoomIsWorth() {
    Encoding mild = Encoding.RAW.keeping(DropMethod.KEYDIFF, 80);
    Encoding hard = Encoding.RAW.keeping(DropMethod.KEYDIFF, 20);
    for (boolean ahead : new boolean[] {false, true}) {
      start(choice().alpha(1).candidates(List.of(mild, hard)).pruneAhead(ahead), 1000, 0);
      FakeSegment first = store(null, 1, 0);
      first.profile(0.99, 0.95);
      policy.on(new Profiled(first), now);
      List<Move> mildly = List.of(new Transfer(first, 0, new Placement(0, mild), false));
      assertEquals(mildly, policy.plan(0, 1, now), "nothing had to go so far");
      first.setBusy(true);
      FakeSegment pruned = store(null, 1, 0);
      pruned.place(0, hard, VariantClass.SERVING, 20);
      pruned.leave(0, Set.of(VariantClass.FULL));
      assertEquals(List.of(new Drop(pruned, 0)), policy.plan(0, 1, now));
      first.setBusy(false);
      assertEquals(mildly, policy.plan(0, 1, now), "a plan is not a price");
      pruned.leave(0);
      policy.on(new Left(pruned, 0), now);
      assertEquals(List.of(new Transfer(first, 0, new Placement(0, ahead ? hard : mild), false)),
          policy.plan(0, 1, now));
    }
  }

  @Test
  void whatIsNewIsCompressedForItsRoomOnceItWasMeasured() {
    start(choice().alpha(0.1).candidates(List.of(INT8)), 1000, 1000);
    for (int index = 0; index < 9; index++) {
      FakeSegment popular = store(null, 1, 0);
      popular.setFrequency(100);
      policy.on(new Hit(popular.path()), now);
    }
    FakeSegment fresh = new FakeSegment(nextId++, null, 1, 100);
    fresh.place(0);
    stored.add(fresh);
    assertEquals(List.of(), policy.on(new Placed(fresh, 0), now), "what it would lose is not known");
    fresh.profile(1);
    assertEquals(List.of(new Transfer(fresh, 0, new Placement(0, INT8), false)),
        policy.on(new Profiled(fresh), now));
  }

  @Test
  void ofMethodsThatTakeTheSameBytesTheBestForTheContextIsTaken() {
    start(choice().alpha(0.5).candidates(List.of(KEYDIFF, KNORM)), 1000, 1000);
    FakeSegment one = store(null, 1, 0);
    FakeSegment other = store(null, 1, 0);
    one.profile(1, 0.5);
    other.profile(0.5, 1);
    policy.on(new Profiled(one), now);
    policy.on(new Profiled(other), now);
    List<Move> moves = policy.plan(0, 120, now);
    assertEquals(List.of(new Transfer(one, 0, new Placement(0, KEYDIFF), false),
        new Transfer(other, 0, new Placement(0, KNORM), false)), moves);
  }

  @Test
  void unknownQualityIsThatOfTheNamespace() {
    start(choice().candidates(List.of(INT8)), 1000, 1000);
    FakeSegment unknown = store(null, 4, 0);
    FakeSegment impossible = store(null, 4, 0);
    impossible.profile(Double.NaN);
    FakeSegment profiled = store(null, 2, 0);
    assertEquals(0.98, option(unknown, 0, INT8).quality(), 0.02);
    profiled.profile(0.9);
    policy.on(new Profiled(profiled), now);
    assertEquals(0.8, option(unknown, 0, INT8).quality(), 1e-9);
    assertEquals(0.8, option(impossible, 0, INT8).quality(), 1e-9);
  }

  @Test
  void promotesWhatIsHitAgainAndPays() {
    start(choice(), 1000, 1000);
    FakeSegment segment = store(null, 1, 1);
    assertTrue(policy.on(new Hit(segment.path()), now).isEmpty(), "used once");
    segment.use(++now);
    segment.setFrequency(2);
    assertEquals(List.of(new Transfer(segment, 1, new Placement(0, Encoding.RAW), true)),
        policy.on(new Hit(segment.path()), now));
    policy.on(new StoreDelay(0, new DelayLine(1, 0)), now);
    assertTrue(policy.on(new Hit(segment.path()), now).isEmpty(), "writing takes longer than it saves");
  }

  /** Goal: what had to go for something large comes back once that has become small, best first, before it is used. */
  @Test
  void whatMadeRoomComesBackWhenThereIsSome() {
    start(choice(), 1000, ALL);
    List<FakeSegment> hot = new ArrayList<>();
    for (int frequency : new int[] {10, 30, 20, 1}) {
      FakeSegment segment = store(null, 2, 0);
      segment.setFrequency(frequency);
      segment.use(now);
      hot.add(segment);
    }
    store(null, 2, 0).setFrequency(1000);
    for (Move move : policy.plan(0, 800, now)) {
      FakeSegment segment = (FakeSegment) move.segment();
      assertEquals(new Transfer(segment, 0, new Placement(1, Encoding.RAW), false), move);
      segment.place(1);
      segment.leave(0);
      policy.on(new Left(segment, 0), now);
    }
    FakeSegment large = store(null, 8, 0);
    large.leave(0);
    policy.on(new Left(large, 0), now);
    policy.on(new Gone(large), now);
    List<SegmentView> back = new ArrayList<>();
    FakeSegment small = new FakeSegment(nextId++, null, 1, 100);
    small.place(0);
    stored.add(small);
    List<Move> moves = policy.on(new Placed(small, 0), now);
    while (!moves.isEmpty()) {
      Transfer move = (Transfer) moves.getFirst();
      back.add(move.segment());
      ((FakeSegment) move.segment()).place(0);
      moves = policy.on(new Placed(move.segment(), 0), now);
    }
    assertEquals(List.of(hot.get(1), hot.get(2), hot.get(0)), back,
        "what was used once has not shown that it will be");
  }

  @Test
  void equalSegmentsUsedInTurnDoNotChangePlacesForEver() {
    start(choice(), 110, ALL);
    FakeSegment above = store(null, 1, 0);
    FakeSegment below = store(null, 1, 1);
    double[] frequencies = {1, 1};
    int moved = 0;
    for (int turn = 0; turn < 200; turn++) {
      now += 1_000_000_000L;
      int used = turn % 2;
      frequencies[0] /= 2;
      frequencies[1] /= 2;
      frequencies[used]++;
      above.setFrequency(frequencies[0]);
      below.setFrequency(frequencies[1]);
      FakeSegment hit = used == 0 ? above : below;
      hit.use(now);
      for (Move move : policy.on(new Hit(hit.path()), now)) {
        moved += move instanceof Transfer ? 1 : 0;
      }
    }
    assertEquals(0, moved);
  }

  @Test
  void ordersStayAsTimeGoesBy() {
    start(choice(), 1000, ALL);
    policy.plan(0, 1, now);
    FakeSegment before = null;
    for (int step = 1; step <= 6; step++) {
      // Scored when a use counted 2^200 times as much as at the start, and not again before the start is moved.
      now += 200_000_000_000L;
      FakeSegment popular = store(null, 1, 0);
      popular.setFrequency(3);
      policy.on(new Hit(popular.path()), now);
      if (before != null) {
        assertEquals(before, policy.plan(0, 1, now).getFirst().segment(), "step " + step);
        before.leave(0);
        policy.on(new Gone(before), now);
      }
      popular.setFrequency(3 * Math.pow(2, -200));
      before = popular;
    }
  }

  @Test
  void explainsWhatNobodyUsedForAges() {
    start(choice(), 300, ALL);
    FakeSegment segment = store(null, 1, 1);
    store(null, 3, 0);
    policy.plan(0, 1, now);
    now += 1_050_000_000_000L;
    segment.setFrequency(Double.MIN_VALUE);
    var verdict = policy.explain(segment, now);
    verdict.options().forEach(option -> assertEquals(0, option.utility(), 1e-300, option.toString()));
    assertFalse(verdict.reason().contains("NaN"), verdict.reason());
  }

  @Test
  void saysWhyItIsNotBetter() {
    start(choice(), 300, ALL);
    FakeSegment popular = store(null, 3, 0);
    popular.setFrequency(50);
    policy.on(new Hit(popular.path()), now);
    FakeSegment rare = store(null, 1, 1);
    policy.plan(0, 1, now);
    String reason = policy.explain(rare, now).reason();
    assertTrue(reason.startsWith("codec-0 in ssd (quality 1.000, 500 ms"), reason);
    assertTrue(reason.contains("but dram is full: room there costs") && reason.contains("per MiB"), reason);
    assertTrue(policy.explain(popular, now).reason().contains("is the best of"));
  }

  @Test
  void persistsWhatLosesLeast() {
    start(choice().alpha(0).candidates(List.of(INT8)), 1000, ALL);
    FakeSegment segment = store(null, 1, 0);
    assertEquals(INT8, policy.persistAs(segment, 1));
    start(choice().alpha(1000).candidates(List.of(INT8)).lossless(5), 1000, ALL);
    assertEquals(Encoding.of(5), policy.persistAs(segment, 1));
  }

  @ParameterizedTest
  @ValueSource(doubles = {-1, Double.NaN, Double.POSITIVE_INFINITY})
  void refusesWhatIsNoWeight(double value) {
    for (String name : List.of("alpha", "writeCost", "hysteresis")) {
      IllegalArgumentException refused = assertThrows(IllegalArgumentException.class, () -> {
        switch (name) {
          case "alpha" -> choice().alpha(value);
          case "writeCost" -> choice().writeCost(value);
          default -> choice().hysteresis(value);
        }
      });
      assertEquals(name + " is " + value + ", must be finite and at least 0", refused.getMessage());
    }
  }

  @Test
  void refusesEncodingsThatDoNotFit() {
    assertThrows(IllegalArgumentException.class,
        () -> start(choice().candidates(List.of(Encoding.of(77))), ALL, ALL));
    assertThrows(IllegalArgumentException.class, () -> start(choice().lossless(8), ALL, ALL));
    assertThrows(IllegalArgumentException.class,
        () -> start(choice().candidates(List.of(Encoding.of(5))), ALL, ALL));
    assertThrows(IllegalArgumentException.class,
        () -> start(choice().candidates(List.of(INT8, INT8)), ALL, ALL));
  }

  @RepeatedTest(5)
  void theHeapIsASortedList(RepetitionInfo run) {
    long seed = Long.getLong("test.seed", run.getCurrentRepetition());
    SplittableRandom random = new SplittableRandom(seed);
    IndexedHeap heap = new IndexedHeap(0);
    List<Node> all = new ArrayList<>();
    List<Double> keys = new ArrayList<>();
    for (int index = 0; index < 500; index++) {
      all.add(new Node(new FakeSegment(index, null, 1, 1), space, 1));
      keys.add(null);
    }
    for (int step = 0; step < 5_000; step++) {
      int index = random.nextInt(all.size());
      if (random.nextInt(3) == 0) {
        heap.remove(all.get(index));
        keys.set(index, null);
      } else {
        keys.set(index, (double) random.nextInt(100));
        heap.put(all.get(index), keys.get(index));
      }
      int least = -1;
      for (int other = 0; other < keys.size(); other++) {
        if (keys.get(other) != null && (least < 0 || keys.get(other) < keys.get(least))) {
          least = other;
        }
      }
      assertEquals(least < 0 ? null : all.get(least), heap.top(), "seed=" + seed + " step=" + step);
    }
    assertFalse(heap.size() == 0);
  }
}
