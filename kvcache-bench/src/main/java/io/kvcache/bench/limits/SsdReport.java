package io.kvcache.bench.limits;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import java.io.File;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Pairs of figures that were measured one right after the other, in several rounds. */
final class SsdReport {
  private final Map<String, List<Pair>> rounds = new LinkedHashMap<>();
  private final Map<String, String> peers = new LinkedHashMap<>();
  private final Map<String, Double> shares = new LinkedHashMap<>();

  private record Pair(double ours, double peer) {
    double ratio() {
      return ours / peer;
    }
  }

  private record Comparison(String name, double best, String peer, double bestOfPeer, double medianRatio) {}

  private record Json(List<Comparison> comparisons, Map<String, Double> shares) {}

  /** Takes a round: GB/s, or for times their inverse, of something and of what it is compared with. */
  void add(String name, double ours, String peer, double ofPeer) {
    peers.put(name, peer);
    rounds.computeIfAbsent(name, any -> new ArrayList<>()).add(new Pair(ours, ofPeer));
  }

  /** Takes a share that is no speed, of which the last one counts. */
  void share(String name, double value) {
    shares.put(name, value);
  }

  private List<Comparison> comparisons() {
    return rounds.entrySet().stream().map(each -> {
      List<Pair> pairs = each.getValue();
      double[] ratios = pairs.stream().mapToDouble(Pair::ratio).sorted().toArray();
      return new Comparison(each.getKey(), pairs.stream().mapToDouble(Pair::ours).max().orElseThrow(),
          peers.get(each.getKey()), pairs.stream().mapToDouble(Pair::peer).max().orElseThrow(),
          (ratios[(ratios.length - 1) / 2] + ratios[ratios.length / 2]) / 2);
    }).toList();
  }

  void print(PrintWriter out) {
    out.printf(Locale.ROOT, "%-42s %8s   %-34s %8s %8s%n", "path", "best", "compared with", "best", "ratio");
    for (Comparison each : comparisons()) {
      out.printf(Locale.ROOT, "%-42s %8.2f   %-34s %8.2f %8.2f%n", each.name, each.best, each.peer,
          each.bestOfPeer, each.medianRatio);
    }
    out.println();
    shares.forEach((name, value) -> out.printf(Locale.ROOT, "%s: %.3f%n", name, value));
    out.println(
        "GB/s, the best of the rounds; ratios are of figures measured one after the other, the median.");
    out.flush();
  }

  void writeJson(File file) throws IOException {
    new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT).writeValue(file,
        new Json(comparisons(), shares));
  }
}
