package io.kvcache.bench.demo;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.kvcache.bench.demo.DemoRun.Before;
import io.kvcache.bench.demo.DemoRun.Residence;
import java.io.File;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/** What the demo found, for people and for programs. */
final class DemoReport {
  private static final double MIB = 1 << 20;

  private final List<PhaseResult> phases = new ArrayList<>();
  private final List<Residence> residences;
  private PolicyReport policies;

  DemoReport(Before before) {
    phases.add(before.cold());
    phases.add(before.warm());
    residences = before.residences();
  }

  void add(PhaseResult phase) {
    phases.add(phase);
  }

  void add(PolicyReport report) {
    policies = report;
  }

  private PhaseResult cold() {
    return phases.getFirst();
  }

  /** Whether every answer that came from exact KV is the one computed without a cache. */
  boolean faithful() {
    return phases.stream().noneMatch(phase -> onlyExact(phase) && phase.differingFrom(cold()) > 0);
  }

  private static boolean onlyExact(PhaseResult phase) {
    return phase.loads().stream().allMatch(load -> List.of("raw", "lz4").contains(load.codec()));
  }

  void print(PrintWriter out, DemoTask task, DemoRun run) {
    out.printf(Locale.ROOT,
        "%n%d documents, %d questions; KV of all full chunks %.1f MiB, DRAM %.1f MiB, SSD %.0f"
            + " MiB (%s on SSD)%n%n",
        task.documents().size(), task.questions().size(),
        run.capacities().workingSetBytes() / MIB, run.capacities().dramBytes() / MIB,
        run.capacities().ssdBytes() / MIB, run.codec().name().toLowerCase(Locale.ROOT));
    out.printf("%-11s %22s %9s %12s %12s  %s%n", "phase", "median first token, ms", "speed-up",
        "exact answers",
        "as computed", "tokens loaded, by tier and codec");
    for (PhaseResult phase : phases) {
      int same = phase.answers().size() - phase.differingFrom(cold());
      out.printf(Locale.ROOT, "%-11s %22.1f %8.1fx %11.1f%% %9d/%d  %s%n", phase.name(),
          phase.ttftMillisMedian(),
          cold().ttftMillisMedian() / phase.ttftMillisMedian(), 100 * phase.accuracy(), same,
          phase.answers().size(), loads(phase));
    }
    printResidences(out);
    if (policies != null) {
      policies.print(out);
    }
    if (!faithful()) {
      out.println(
          "\nAN ANSWER FROM EXACT KV DIFFERS FROM THE ONE COMPUTED WITHOUT A CACHE: that must not be.");
    }
    out.flush();
  }

  private static String loads(PhaseResult phase) {
    if (phase.loads().isEmpty()) {
      return "-";
    }
    String sources = phase.loads().stream()
        .map(load -> String.format(Locale.ROOT, "%,d from %s/%s (%.1f MiB)", load.tokens(), load.tier(),
            load.codec(), load.storedBytes() / MIB))
        .collect(Collectors.joining(", "));
    return String.format(Locale.ROOT, "%.0f%% of %,d: %s",
        100.0 * phase.loadedTokens() / phase.promptTokens(),
        phase.promptTokens(), sources);
  }

  private void printResidences(PrintWriter out) {
    Map<String, long[]> sums = new TreeMap<>();
    for (Residence residence : residences) {
      long[] sum = sums.computeIfAbsent(residence.tier() + " / " + residence.method(), key -> new long[3]);
      sum[0]++;
      sum[1] += residence.tokens();
      sum[2] += Math.round(residence.rate() * residence.tokens() * 1000);
    }
    out.printf("%nBefore the restart, documents were read from:%n");
    sums.forEach(
        (place, sum) -> out.printf(Locale.ROOT, "  %-14s %3d runs, %6d tokens, %.2f of their KV's bytes%n",
            place, sum[0], sum[1], sum[2] / 1000.0 / sum[1]));
  }

  void writeJson(File file) throws IOException {
    List<Map<String, Object>> phaseList = new ArrayList<>();
    for (PhaseResult phase : phases) {
      Map<String, Object> fields = new LinkedHashMap<>();
      fields.put("name", phase.name());
      fields.put("ttftMillisMedian", phase.ttftMillisMedian());
      fields.put("accuracy", phase.accuracy());
      fields.put("bytesLoadedByTier", phase.bytesLoadedByTier());
      fields.put("tokensLoaded", phase.loadedTokens());
      fields.put("tokensAsked", phase.promptTokens());
      fields.put("answersAsCold", phase.answers().size() - phase.differingFrom(cold()));
      fields.put("loads", phase.loads());
      phaseList.add(fields);
    }
    Map<String, Object> root = new LinkedHashMap<>();
    root.put("phases", phaseList);
    root.put("residences", residences);
    if (policies != null) {
      policies.addTo(root);
    }
    new ObjectMapper().writerWithDefaultPrettyPrinter().writeValue(file, root);
  }
}
