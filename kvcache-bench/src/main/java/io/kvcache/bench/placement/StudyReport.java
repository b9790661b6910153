package io.kvcache.bench.placement;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.kvcache.bench.Interval;
import io.kvcache.bench.placement.Study.Duel;
import java.io.File;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.ToLongFunction;

/** What a study found, for people and for programs. */
final class StudyReport {
  private static final double MIB = 1 << 20;

  private final List<Study> studies;
  private final Throttle throttle;
  private final int chunkTokens;

  StudyReport(List<Study> studies, Throttle throttle, int chunkTokens) {
    this.studies = studies;
    this.throttle = throttle;
    this.chunkTokens = chunkTokens;
  }

  void print(PrintWriter out) {
    out.printf(
        "%s; chunks of %d tokens. Means over the seeds, with Student's 95 %% intervals where there are several.%n",
        throttle, chunkTokens);
    for (Study study : studies) {
      printResults(out, study);
      printDuels(out, study);
    }
    out.flush();
  }

  private static void printResults(PrintWriter out, Study study) {
    out.printf(Locale.ROOT,
        "%nCapacity %s of the raw KV (DRAM/SSD): DRAM %.1f MiB, SSD %.1f MiB (4 MiB of it for the index)%s:%n"
            + "%-22s %-20s %-22s %7s %7s   %5s %5s%n",
        study.capacity().name(), mib(study, Setting::dramBytes), mib(study, Setting::ssdBytes),
        study.settings().stream().distinct().count() > 1 ? ", means over the seeds" : "", "policy",
        "accuracy, %", "mean TTFT, ms", "median", "p90", "DRAM%", "SSD%");
    for (Policy policy : study.results().keySet()) {
      out.printf(Locale.ROOT, "%-22s %-20s %-22s %7.1f %7.1f   %5.0f %5.0f%s%n", policy.name(),
          text(study.accuracy(policy), 100), text(study.mean(policy,
              PolicyResult::ttftMillisMean), 1),
          study.mean(policy, PolicyResult::ttftMillisMedian).value(),
          study.mean(policy, PolicyResult::ttftMillisP90).value(), hits(study, policy, "dram"),
          hits(study, policy, "ssd"),
          rejected(study, policy) > 0 ? "   " + rejected(study, policy) + " stores found no room" : "");
    }
  }

  private static double mib(Study study, ToLongFunction<Setting> bytes) {
    return study.settings().stream().mapToLong(bytes).average().orElse(Double.NaN) / MIB;
  }

  private static long rejected(Study study, Policy policy) {
    return study.results().get(policy).stream().mapToLong(PolicyResult::rejected).sum();
  }

  private static double hits(Study study, Policy policy, String tier) {
    return 100 * study.mean(policy, result -> result.hitTokenShareByTier().getOrDefault(tier, 0.0)).value();
  }

  private static String text(Interval interval, double factor) {
    return interval.bounded()
        ? String.format(Locale.ROOT, "%.1f [%.1f, %.1f]", factor * interval.value(), factor * interval.low(),
            factor * interval.high())
        : String.format(Locale.ROOT, "%.1f", factor * interval.value());
  }

  private static void printDuels(PrintWriter out, Study study) {
    out.printf(
        "%nThe fastest utility policy at least as accurate: geometric mean over the seeds of its mean TTFT"
            + " over that of the fixed one.%n");
    for (Duel duel : study.duels()) {
      out.printf(Locale.ROOT, "%-22s %-16s %s%n", duel.fixed().name(),
          within(duel.tolerance()), text(duel));
    }
    study.duels().stream().map(Duel::tolerance).distinct().forEach(tolerance -> printLost(out,
        ("Utility, as accurate " + within(tolerance)).strip(),
        study.duels().stream().filter(duel -> duel.tolerance() == tolerance && duel.lost()).toList()));
  }

  private static void printLost(PrintWriter out, String utility, List<Duel> lost) {
    out.println(utility + (lost.isEmpty() ? ", loses nowhere." : ", loses against: " + String.join("; ",
        lost.stream().map(duel -> duel.fixed().name()
            + (duel.utility().isEmpty() ? " (none is)" : duel.open() ? " (open)" : "")).toList())));
  }

  private static String within(double tolerance) {
    return tolerance > 0 ? String.format(Locale.ROOT, "(within %.0f pts)", 100 * tolerance) : "";
  }

  private static String text(Duel duel) {
    return duel.utility()
        .map(policy -> String.format(Locale.ROOT,
            "%.2f%s by %s, %s, chosen on the same seeds%s",
            duel.ratio().value(),
            duel.ratio().bounded()
                ? String.format(Locale.ROOT, " [%.2f, %.2f]", duel.ratio().low(), duel.ratio().high()) : "",
            policy.name(),
            duel.eligible() > 1 ? "fastest of " + duel.eligible() + " alphas" : "the only alpha as accurate",
            (duel.lost() ? ": LOSES" : "") + (duel.open() ? ": open" : "")))
        .orElse("no utility policy is as accurate: LOSES");
  }

  void writeJson(File file) throws IOException {
    List<Map<String, Object>> list = new ArrayList<>();
    for (Study study : studies) {
      Map<String, Object> fields = new LinkedHashMap<>();
      fields.put("capacity", study.capacity().name());
      fields.put("dramBytesBySeed", study.settings().stream().map(Setting::dramBytes).toList());
      fields.put("ssdBytesBySeed", study.settings().stream().map(Setting::ssdBytes).toList());
      fields.put("policies", study.results().keySet().stream().map(policy -> policy(study, policy)).toList());
      fields.put("duels", study.duels().stream().map(StudyReport::duel).toList());
      list.add(fields);
    }
    Map<String, Object> root = new LinkedHashMap<>();
    root.put("throttle", throttle.toString());
    root.put("chunkTokens", chunkTokens);
    root.put("studies", list);
    new ObjectMapper().writerWithDefaultPrettyPrinter().writeValue(file, root);
  }

  private static Map<String, Object> policy(Study study, Policy policy) {
    Map<String, Object> fields = new LinkedHashMap<>();
    fields.put("name", policy.name());
    fields.put("accuracy", fields(study.accuracy(policy)));
    fields.put("ttftMillisMean", fields(study.mean(policy, PolicyResult::ttftMillisMean)));
    fields.put("ttftMillisMedian", fields(study.mean(policy, PolicyResult::ttftMillisMedian)));
    fields.put("ttftMillisP90", fields(study.mean(policy, PolicyResult::ttftMillisP90)));
    fields.put("rejected", rejected(study, policy));
    fields.put("bySeed", study.results().get(policy));
    return fields;
  }

  private static Map<String, Object> fields(Interval interval) {
    Map<String, Object> fields = new LinkedHashMap<>();
    fields.put("value", interval.value());
    if (interval.bounded()) {
      fields.put("low", interval.low());
      fields.put("high", interval.high());
    }
    return fields;
  }

  private static Map<String, Object> duel(Duel duel) {
    Map<String, Object> fields = new LinkedHashMap<>();
    fields.put("fixed", duel.fixed().name());
    fields.put("tolerance", duel.tolerance());
    fields.put("eligible", duel.eligible());
    fields.put("utility", duel.utility().map(Policy::name).orElse(null));
    fields.put("ttftRatio", duel.utility().map(policy -> fields(duel.ratio())).orElse(null));
    fields.put("lost", duel.lost());
    fields.put("open", duel.open());
    return fields;
  }
}
