package io.kvcache.simulation;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.SplittableRandom;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.RepetitionInfo;

/** The engine keeps its promises in any order of events; {@code -Dtest.seed=N} replays one run. */
class SimulationTest {
  private static final int OPERATIONS = 2_000;

  @RepeatedTest(50)
  void mayMissButIsNeverWrongAndResurrectsNothing(RepetitionInfo run) {
    long seed = Long.getLong("test.seed", run.getCurrentRepetition());
    long hitTokens = new Simulation(Setup.of(new SplittableRandom(seed)), seed).run(OPERATIONS);
    assertTrue(hitTokens > 0, "seed=" + seed + ": nothing was ever found, so nothing was checked");
  }

  /** Whatever a policy wishes, in place as well, and whenever the power fails. */
  @RepeatedTest(50)
  void holdsUnderAnyPolicyAndWhereverThePowerFails(RepetitionInfo run) {
    long seed = Long.getLong("test.seed", run.getCurrentRepetition());
    long hitTokens = new Simulation(Setup.ofAnyPolicy(new SplittableRandom(seed)), seed).run(OPERATIONS);
    assertTrue(hitTokens > 0, "seed=" + seed + ": nothing was ever found, so nothing was checked");
  }

  /** Parts of several layers and of one, large one: reads in the background, buffers that are kept or not. */
  @RepeatedTest(4)
  void holdsForFramesOfSeveralParts(RepetitionInfo run) {
    long seed = Long.getLong("test.seed", run.getCurrentRepetition());
    new Simulation(Setup.ofSeveralParts(new SplittableRandom(seed)), seed).run(OPERATIONS / 20);
  }
}
