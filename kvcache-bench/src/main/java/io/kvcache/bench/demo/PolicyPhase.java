package io.kvcache.bench.demo;

import io.kvcache.bench.Console;
import io.kvcache.bench.placement.Comparison;
import io.kvcache.bench.placement.Policy;
import io.kvcache.bench.placement.PolicyResult;
import io.kvcache.bench.placement.Setting;
import io.kvcache.bench.placement.Throttle;
import io.kvcache.bench.placement.Workload;
import io.kvcache.bench.serving.CachedModel;
import io.kvcache.bench.serving.Prefilled;
import io.kvcache.bench.serving.WorkingSet;
import io.kvcache.bench.task.RecallDocument;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The part of the demo in which placement has to choose: the same requests by several policies. */
final class PolicyPhase {
  private static final double ZIPF_EXPONENT = 0.9;
  private static final double DRAM_SHARE = 0.08;
  private static final double SSD_SHARE = 0.15;
  private static final int TRAINING_QUESTIONS = 6;
  private static final int MOST_QUESTIONS = 4;

  private final CachedModel engine;
  private final DemoTask task;
  private final Choice choice;
  private final Console console;

  /**
   * What the command line says.
   *
   * @param requests of each of the two passes
   * @param alpha seconds of delay that the whole of quality is worth
   * @param throttle as {@link Throttle#parse} takes it
   * @param seed of the requests
   * @param directory where disk tiers lie while they are used; null for the system's temporary directory
   */
  record Choice(int requests, double alpha, String throttle, long seed, Path directory) {}

  /**
   * What was compared, and came out.
   *
   * @param workingSetBytes KV of all full chunks, raw
   * @param setting the tiers, held back if that was asked for
   * @param results on those
   * @param unthrottled on the same tiers as fast as they are; empty where nothing was held back
   */
  record Outcome(long workingSetBytes, Setting setting, List<PolicyResult> results,
      List<PolicyResult> unthrottled) {
    /** That of the policy that weighs alternatives. */
    PolicyResult utility() {
      return results.getLast();
    }
  }

  PolicyPhase(CachedModel engine, DemoTask task, Choice choice, Console console) {
    this.engine = engine;
    this.task = task;
    this.choice = choice;
    this.console = console;
  }

  Outcome run() throws IOException {
    List<Prefilled> documents = new ArrayList<>();
    try {
      for (RecallDocument document : task.documents()) {
        documents.add(engine.prefill(document, TRAINING_QUESTIONS));
        console.say("\r%-10s %4d of %d documents", "reading", documents.size(), task.documents().size());
      }
      console.say("%n");
      return compare(documents);
    } finally {
      documents.forEach(Prefilled::close);
    }
  }

  private Outcome compare(List<Prefilled> documents) throws IOException {
    Comparison comparison = new Comparison(engine, documents, choice.directory);
    WorkingSet kv = WorkingSet.of(engine, task.documents());
    Throttle throttle = Throttle.parse(choice.throttle, comparison.prefillBytesPerSecond());
    Setting setting = Setting.ofShares(kv, DRAM_SHARE, SSD_SHARE, throttle);
    Workload workload =
        Workload.generate(documents, choice.requests, ZIPF_EXPONENT, MOST_QUESTIONS, choice.seed);
    comparison.measureQualities(
        done -> console.say("\r%-10s %4d of %d documents", "measuring", done, documents.size()));
    console.say("%n");
    List<PolicyResult> unthrottled =
        throttle.on() ? results(comparison, fewPolicies(), setting.with(Throttle.OFF), workload) : List.of();
    return new Outcome(kv.bytes(), setting, results(comparison, policies(), setting, workload), unthrottled);
  }

  private List<Policy> policies() {
    return List.of(Policy.noCache(), Policy.lru("raw"), Policy.lru("int8"), Policy.lru("int4"),
        Policy.lru("expected-50+int4"), Policy.lru("h2o-30+int4"), Policy.utility(choice.alpha));
  }

  /** Enough to see that tiers hold nobody up. */
  private List<Policy> fewPolicies() {
    return List.of(Policy.noCache(), Policy.lru("raw"), Policy.lru("int4"), Policy.utility(choice.alpha));
  }

  private List<PolicyResult> results(Comparison comparison, List<Policy> policies, Setting setting,
      Workload workload)
      throws IOException {
    List<PolicyResult> results = new ArrayList<>();
    for (Policy policy : policies) {
      results.add(comparison.run(policy, setting, workload,
          done -> console.say("\r%-24s %4d requests, %s", policy.name(), done, setting.throttle())));
      console.say("%n");
    }
    return results;
  }
}
