package io.kvcache.placement;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.ChunkKey;
import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.spi.DelayLine;
import io.kvcache.spi.Placement;
import io.kvcache.spi.PlacementEvent.Hit;
import io.kvcache.spi.PlacementEvent.Placed;
import io.kvcache.spi.PlacementEvent.RecomputeDelay;
import io.kvcache.spi.PlacementEvent.StoreDelay;
import io.kvcache.spi.VariantClass;
import io.kvcache.testkit.FakeSegment;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;

class AdmissionTest extends UtilityFixture {
  private static final Encoding H2O = Encoding.RAW.keeping(DropMethod.H2O, 10);

  private Optional<Placement> admit(int chunks) {
    return policy.admit(FakeSegment.ROOT, null, chunks, now);
  }

  private static Optional<Placement> at(int tier, Encoding encoding) {
    return Optional.of(new Placement(tier, encoding));
  }

  @Test
  void newContextsGoWhereTheyLoseLeast() {
    start(choice(), 1000, ALL);
    assertEquals(at(0, Encoding.RAW), admit(3));
    assertEquals(at(1, Encoding.RAW), admit(30),
        "larger than the fast tier");
    for (int index = 0; index < 10; index++) {
      FakeSegment popular = store(null, 1, 0);
      popular.setFrequency(1000);
      policy.on(new Hit(popular.path()), now);
    }
    assertEquals(at(1, Encoding.RAW), admit(3),
        "what is there is worth more");
    policy.on(new StoreDelay(0, new DelayLine(1, 0)), now);
    policy.on(new StoreDelay(1, new DelayLine(1, 0)), now);
    assertEquals(Optional.empty(), admit(3), "writing takes longer than it saves");
  }

  @Test
  void bestQualityInsertsExactly() {
    start(choice().alpha(0).candidates(LOSSY), 1000, ALL);
    assertEquals(at(0, INT4), admit(1));
    start(choice().alpha(0).candidates(LOSSY).insert(UtilityPlacement.Insert.BEST_QUALITY), 1000, ALL);
    assertEquals(at(0, Encoding.RAW), admit(1));
  }

  @Test
  void roomIsPricedByWhatDelaysAreNow() {
    start(choice(), 1000, 0);
    policy.on(new RecomputeDelay(new DelayLine(1, 0)), now);
    for (int index = 0; index < 10; index++) {
      FakeSegment rare = store(null, 1, 0);
      rare.setFrequency(0.5);
      policy.on(new Hit(rare.path()), now);
    }
    policy.on(new RecomputeDelay(new DelayLine(0.01, 0)), now);
    assertEquals(at(0, Encoding.RAW), admit(1),
        "what has to go is used half as often, but was scored when computing took longer");
  }

  /** Goal: what will be compressed is not turned away for the room it takes until then. */
  @Test
  void exactKvIsChargedWhatItWillTake() {
    Encoding tenth = Encoding.RAW.keeping(DropMethod.KEYDIFF, 10);
    for (boolean compressible : new boolean[] {true, false}) {
      start(choice().alpha(0).insert(UtilityPlacement.Insert.BEST_QUALITY)
          .candidates(compressible ? List.of(tenth) : List.of()), 1000, 0);
      for (int index = 0; index < 10; index++) {
        FakeSegment popular = store(null, 10, 0);
        popular.place(0, tenth, VariantClass.SERVING, 10);
        popular.leave(0, Set.of(VariantClass.FULL));
        popular.setFrequency(0.5);
        policy.on(new Placed(popular, 0), now);
      }
      assertEquals(compressible ? at(0, Encoding.RAW) : Optional.empty(), admit(10));
    }
  }

  /** Goal: what cannot be applied for lack of scores is not planned for. */
  @Test
  void methodsThatNeedScoresAreExpectedWhereScoresCame() {
    start(choice().alpha(0).candidates(List.of(H2O)), 1000, ALL);
    assertEquals(at(0, Encoding.RAW), admit(1));
    FakeSegment without = new FakeSegment(1000, null, 1, 100);
    without.setScored(Set.of());
    without.place(0);
    policy.on(new Placed(without, 0), now);
    assertEquals(at(0, Encoding.RAW), admit(1));
    store(null, 1, 0);
    assertEquals(at(0, H2O), admit(1));
  }

  /** Goal: a namespace that is turned away is tried again some day. */
  @Test
  void whatNeverPaidIsTriedAgain() {
    start(choice(), ALL, ALL);
    policy.on(new StoreDelay(0, new DelayLine(0, 0.1)), now);
    policy.on(new StoreDelay(1, new DelayLine(0, 0.1)), now);
    assertEquals(at(0, Encoding.RAW), admit(1));
    for (int index = 0; index < 20; index++) {
      store(null, 1, 0);
    }
    int declined = 0;
    while (admit(1).isEmpty()) {
      declined++;
      assertTrue(declined < 10_000, "turned away for ever");
    }
    assertTrue(declined > 100, declined + " times");
  }

  @Test
  void namespacesWithoutSegmentsAreForgottenOldestFirst() {
    Spaces spaces = new Spaces(0);
    Space kept = spaces.enter(root(-1));
    Space oldest = spaces.of(root(0));
    Space second = spaces.of(root(1));
    for (int number = 2; number < 1025; number++) {
      spaces.of(root(number));
      assertSame(oldest, spaces.of(root(0)));
    }
    assertNotSame(second, spaces.of(root(1)));
    assertSame(oldest, spaces.of(root(0)));
    assertSame(kept, spaces.of(root(-1)));
    spaces.leave(root(-1), kept);
    assertSame(kept, spaces.of(root(-1)), "gone a moment ago");
    assertNotSame(spaces.peek(root(5000)), spaces.peek(root(5000)));
  }

  private static ChunkKey root(int number) {
    return new ChunkKey(number, 2, 3, 4);
  }
}
