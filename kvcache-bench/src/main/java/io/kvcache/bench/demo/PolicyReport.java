package io.kvcache.bench.demo;

import io.kvcache.bench.demo.PolicyPhase.Outcome;
import io.kvcache.bench.placement.PlacedContext;
import io.kvcache.bench.placement.PolicyResult;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** What the policies achieved, for people and for programs. */
final class PolicyReport {
  private static final double MIB = 1 << 20;
  private static final int MOST_CONTEXTS = 40;

  private final Outcome outcome;

  PolicyReport(Outcome outcome) {
    this.outcome = outcome;
  }

  void print(PrintWriter out) {
    out.printf(Locale.ROOT,
        "%nPlacement has to choose: DRAM %.1f MiB and SSD %.1f MiB (4 MiB of it for the index) for"
            + " %.1f MiB of KV.%n%d requests after a warm-up, popular documents more often; questions that quality was"
            + " not measured by.%n",
        outcome.setting().dramBytes() / MIB, outcome.setting().ssdBytes() / MIB,
        outcome.workingSetBytes() / MIB,
        outcome.utility().ttftMillis().length);
    if (!outcome.unthrottled().isEmpty()) {
      print(out, "Tiers as fast as they are", outcome.unthrottled());
    }
    print(out, outcome.setting().throttle().on()
        ? outcome.setting().throttle() + ", the proportions of a large model unless chosen"
        : "Tiers as fast as they are", outcome.results());
    printContexts(out);
    out.flush();
  }

  private static void print(PrintWriter out, String title, List<PolicyResult> results) {
    out.printf("%n%s:%n%-22s %26s %10s   %s%n%-22s %8s %8s %8s %10s   %6s %6s %9s%n", title, "",
        "first token, ms:", "exact", "tokens from", "policy", "mean", "median", "p90", "answers", "DRAM",
        "SSD",
        "computed");
    for (PolicyResult result : results) {
      Map<String, Double> shares = result.hitTokenShareByTier();
      out.printf(Locale.ROOT, "%-22s %8.1f %8.1f %8.1f %9.1f%%   %5.0f%% %5.0f%% %8.0f%%%s%n", result.name(),
          result.ttftMillisMean(), result.ttftMillisMedian(), result.ttftMillisP90(), 100 * result.accuracy(),
          100 * shares.getOrDefault("dram", 0.0), 100 * shares.getOrDefault("ssd", 0.0),
          100 * (1 - result.hitTokenShare()),
          result.rejected() > 0 ? "   " + result.rejected() + " stores found no room" : "");
    }
  }

  private void printContexts(PrintWriter out) {
    List<PlacedContext> contexts =
        new ArrayList<>(outcome.utility().contexts().stream().filter(PlacedContext::stored).toList());
    int absent = outcome.utility().contexts().size() - contexts.size();
    contexts.sort(Comparator.comparingDouble(PlacedContext::frequency).reversed()
        .thenComparingInt(PlacedContext::document));
    out.printf(
        "%nWhere utility put each document, the most used first:%n%-9s %6s %5s  %-17s %5s %-4s %7s %8s  %s%n",
        "kind", "tokens", "uses", "method", "rate", "tier", "quality", "utility", "why");
    for (PlacedContext context : contexts.subList(0, Math.min(MOST_CONTEXTS, contexts.size()))) {
      out.printf(Locale.ROOT, "%-9s %6d %5.1f  %-17s %5.2f %-4s %7.2f %8.2f  %s%n", context.kind(),
          context.tokens(), context.frequency(), context.method(), context.rate(), context.tier(),
          context.quality(), context.utility(), context.choice());
    }
    out.printf("%d more are stored, %d are not: nobody asked, or they were turned away or made room.%n",
        Math.max(0, contexts.size() - MOST_CONTEXTS), absent);
  }

  /** Adds what the JSON says of it. */
  void addTo(Map<String, Object> root) {
    root.put("throttle", outcome.setting().throttle().toString());
    root.put("contexts", outcome.utility().contexts());
    root.put("policies", outcome.results().stream().map(PolicyReport::fields).toList());
    root.put("policiesUnthrottled", outcome.unthrottled().stream().map(PolicyReport::fields).toList());
  }

  private static Map<String, Object> fields(PolicyResult result) {
    Map<String, Object> fields = new LinkedHashMap<>();
    fields.put("name", result.name());
    fields.put("ttftMillisMedian", result.ttftMillisMedian());
    fields.put("ttftMillisMean", result.ttftMillisMean());
    fields.put("ttftMillisP90", result.ttftMillisP90());
    fields.put("accuracy", result.accuracy());
    fields.put("rejected", result.rejected());
    fields.put("hitTokenShareByTier", result.hitTokenShareByTier());
    return fields;
  }
}
