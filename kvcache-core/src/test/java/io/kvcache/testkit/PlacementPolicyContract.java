package io.kvcache.testkit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.spi.Codings;
import io.kvcache.spi.PlacementPolicy;
import io.kvcache.spi.PlacementPolicy.CacheInfo;
import io.kvcache.spi.PlacementPolicy.TierInfo;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.RepetitionInfo;
import org.junit.jupiter.api.Test;

/**
 * What every {@link PlacementPolicy} must do: extend, return a fresh policy that works in three tiers,
 * and the codecs it needs, inherit the tests. Every random choice follows from a seed that stands in each message.
 */
public abstract class PlacementPolicyContract {
  private static final int STEPS = 2_000;

  /** A fresh policy, not started. */
  protected abstract PlacementPolicy newPolicy();

  /** The codecs there are, raw chunks taking so many bytes; raw alone unless overridden. */
  protected Codings codings(long chunkBytes) {
    return FakeCodings.raw(chunkBytes);
  }

  /**
   * Goal: never move what is busy or gone, never drop what others continue, free what can be freed. Method:
   * events drawn from a seed, plans carried out.
   */
  @RepeatedTest(8)
  protected void keepsTheRulesInAnyOrderOfEvents(RepetitionInfo run) {
    long seed = Long.getLong("test.seed", run.getCurrentRepetition());
    script(seed).run(STEPS);
  }

  @RepeatedTest(4)
  protected void answersTheSameToTheSameEvents(RepetitionInfo run) {
    long seed = Long.getLong("test.seed", run.getCurrentRepetition());
    assertEquals(script(seed).run(STEPS),
        script(seed).run(STEPS),
        "seed=" + seed);
  }

  private PolicyScript script(long seed) {
    return new PolicyScript(newPolicy(), codings(PolicyScript.CHUNK_BYTES), seed);
  }

  @Test
  protected void plansNothingWhereNothingIs() {
    PlacementPolicy policy = newPolicy();
    policy.start(threeTiers());
    for (int tier = 0; tier < 3; tier++) {
      assertTrue(policy.plan(tier, 1, 0).isEmpty());
    }
  }

  @Test
  protected void worksForOneCacheOnly() {
    PlacementPolicy policy = newPolicy();
    policy.start(threeTiers());
    assertThrows(IllegalStateException.class, () -> policy.start(threeTiers()));
  }

  private CacheInfo threeTiers() {
    return new CacheInfo(List.of(empty("a", 1000), empty("b", 1000), empty("c", Long.MAX_VALUE)),
        codings(100),
        16, 1_000_000_000L);
  }

  private static TierInfo empty(String name, long capacityBytes) {
    return new TierInfo(name, capacityBytes, () -> 0, Set.of());
  }
}
