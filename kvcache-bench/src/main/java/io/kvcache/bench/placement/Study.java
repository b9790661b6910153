package io.kvcache.bench.placement;

import io.kvcache.bench.Interval;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.ToDoubleFunction;

/** What all policies made of one capacity, over several seeds. */
final class Study {
  /** What utility may be behind in accuracy and still be compared, besides nothing at all. */
  static final double TOLERANCE = 0.03;

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

  /** Results by seed, policies in the order in which the first seed ran them. */
  Map<Policy, List<PolicyResult>> results() {
    return bySeed;
  }

  private double[] values(Policy policy, ToDoubleFunction<PolicyResult> of) {
    return bySeed.get(policy).stream().mapToDouble(of).toArray();
  }

  Interval mean(Policy policy, ToDoubleFunction<PolicyResult> of) {
    return Interval.ofMean(values(policy, of));
  }

  /** Mean share of the requests answered exactly right. */
  Interval accuracy(Policy policy) {
    return mean(policy, PolicyResult::accuracy).within(0, 1);
  }

  /**
   * A fixed policy beside the fastest utility policy that is as accurate. Which one that is was found out on the same
   * seeds, which flatters it a little.
   *
   * @param fixed the fixed policy
   * @param tolerance what utility's accuracy may be behind
   * @param eligible utility policies that are as accurate
   * @param utility the fastest of them; empty when there is none
   * @param ratio geometric mean over the seeds of its mean time to first token over that of the fixed policy; null
   *     likewise
   */
  record Duel(Policy fixed, double tolerance, int eligible, Optional<Policy> utility, Interval ratio) {
    /** Whether utility is not the faster one. */
    boolean lost() {
      return utility.isEmpty() || ratio.value() >= 1;
    }

    /** Whether the interval leaves it open which is faster, as it always does with one seed. */
    boolean open() {
      return utility.isPresent() && ratio.low() < 1 && ratio.high() >= 1;
    }
  }

  /** Every fixed policy at equal accuracy, and at nearly the same. */
  List<Duel> duels() {
    List<Duel> duels = new ArrayList<>();
    for (Policy policy : bySeed.keySet()) {
      if (policy.alpha().isEmpty()) {
        duels.add(duel(policy, 0));
        duels.add(duel(policy, TOLERANCE));
      }
    }
    return duels;
  }

  private Duel duel(Policy fixed, double tolerance) {
    double least = mean(fixed, PolicyResult::accuracy).value() - tolerance - 1e-9;
    List<Policy> eligible = bySeed.keySet().stream().filter(policy -> policy.alpha().isPresent())
        .filter(policy -> mean(policy, PolicyResult::accuracy).value() >= least).toList();
    Optional<Policy> best =
        eligible.stream().min(Comparator.comparingDouble(policy -> ttftRatio(policy, fixed).value()));
    return new Duel(fixed, tolerance, eligible.size(), best,
        best.map(policy -> ttftRatio(policy, fixed)).orElse(null));
  }

  private Interval ttftRatio(Policy above, Policy below) {
    return Interval.ofRatio(values(above, PolicyResult::ttftMillisMean),
        values(below, PolicyResult::ttftMillisMean));
  }
}
