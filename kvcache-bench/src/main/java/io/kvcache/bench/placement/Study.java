package io.kvcache.bench.placement;

import io.kvcache.bench.placement.Bootstrap.Interval;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.ToDoubleFunction;

/** What all policies made of one capacity, over several seeds. */
final class Study {
  /** What raw LRU may be behind in accuracy and still be compared. */
  static final double RAW_TOLERANCE = 0.03;

  private final Capacity capacity;
  private final List<Setting> settings = new ArrayList<>();
  private final Map<Policy, List<PolicyResult>> bySeed = new LinkedHashMap<>();

  Study(Capacity capacity) {
    this.capacity = capacity;
  }

  Capacity capacity() {
    return capacity;
  }

  /** Takes note of the tiers that the next seed has. */
  void on(Setting setting) {
    settings.add(setting);
  }

  /** The tiers by seed. */
  List<Setting> settings() {
    return settings;
  }

  void add(Policy policy, PolicyResult result) {
    bySeed.computeIfAbsent(policy, key -> new ArrayList<>()).add(result);
  }

  /** Results by seed, in the order in which policies were run. */
  Map<Policy, List<PolicyResult>> results() {
    return bySeed;
  }

  private double[] values(Policy policy, ToDoubleFunction<PolicyResult> of) {
    return bySeed.get(policy).stream().mapToDouble(of).toArray();
  }

  Interval mean(Policy policy, ToDoubleFunction<PolicyResult> of) {
    return Bootstrap.ofMean(values(policy, of));
  }

  /**
   * A fixed policy beside the fastest utility policy that is as accurate.
   *
   * @param fixed the fixed policy
   * @param tolerance what utility's accuracy may be behind
   * @param utility empty when none is as accurate
   * @param ratio mean time to first token of utility over that of the fixed policy; null likewise
   */
  record Duel(Policy fixed, double tolerance, Optional<Policy> utility, Interval ratio) {
    /** Whether utility is not the faster one. */
    boolean lost() {
      return utility.isEmpty() || ratio.value() >= 1;
    }

    /** Whether the interval leaves it open which is faster. */
    boolean open() {
      return utility.isPresent() && ratio.low() < 1 && ratio.high() >= 1;
    }
  }

  /** Every fixed policy at equal accuracy, and raw LRU also at nearly the same. */
  List<Duel> duels() {
    List<Duel> duels = new ArrayList<>();
    for (Policy policy : bySeed.keySet()) {
      if (policy.alpha().isEmpty()) {
        duels.add(duel(policy, 0));
        if (policy.name().equals(Policy.lru("raw").name())) {
          duels.add(duel(policy, RAW_TOLERANCE));
        }
      }
    }
    return duels;
  }

  private Duel duel(Policy fixed, double tolerance) {
    double least = mean(fixed, PolicyResult::accuracy).value() - tolerance - 1e-9;
    Optional<Policy> best = bySeed.keySet().stream().filter(policy -> policy.alpha().isPresent())
        .filter(policy -> mean(policy, PolicyResult::accuracy).value() >= least)
        .min(Comparator.comparingDouble(policy -> mean(policy, PolicyResult::ttftMillisMean).value()));
    return new Duel(fixed, tolerance, best, best.map(policy -> Bootstrap.ofRatio(
        values(policy, PolicyResult::ttftMillisMean), values(fixed, PolicyResult::ttftMillisMean)))
        .orElse(null));
  }
}
