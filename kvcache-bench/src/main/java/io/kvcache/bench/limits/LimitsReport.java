package io.kvcache.bench.limits;

import com.fasterxml.jackson.annotation.JsonProperty;
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

/** Collects what was measured and writes it, for people and for programs. */
final class LimitsReport {
  private final Map<String, Double> limits = new LinkedHashMap<>();
  private final List<MeasuredPath> paths = new ArrayList<>();

  /** One physical limit; of a family with several variants each is one, and so is the best of them. */
  private record Limit(String name, @JsonProperty("GBps") double gigabytesPerSecond) {}

  /** One path of the library beside the limit it cannot exceed. */
  private record PathOfLimit(
      String name, @JsonProperty("GBps") double gigabytesPerSecond, String limit, double fractionOfLimit) {}

  private record MeasuredPath(PathProbe probe, double gigabytesPerSecond) {}

  private record Json(Map<String, Object> machine, List<Limit> limits, List<PathOfLimit> paths) {}

  void add(Probe probe, double gigabytesPerSecond) {
    if (probe instanceof PathProbe path) {
      paths.add(new MeasuredPath(path, gigabytesPerSecond));
    } else {
      limits.merge(probe.family(), gigabytesPerSecond, Math::max);
      limits.merge(probe.name(), gigabytesPerSecond, Math::max);
    }
  }

  private List<Limit> limits() {
    return limits.entrySet().stream().map(limit -> new Limit(limit.getKey(), rounded(limit.getValue())))
        .toList();
  }

  private List<PathOfLimit> paths() {
    return paths.stream().map(this::judged).toList();
  }

  private PathOfLimit judged(MeasuredPath path) {
    String limit = path.probe().limit();
    Double most = limits.get(limit);
    if (most == null) {
      throw new IllegalStateException(
          path.probe().name() + " is judged by " + limit + ", which was not measured");
    }
    double speed = path.gigabytesPerSecond();
    return new PathOfLimit(path.probe().name(), rounded(speed), limit, rounded(speed / most));
  }

  private static double rounded(double value) {
    return Math.round(value * 1000) / 1000.0;
  }

  /** Writes two tables; GB are 10⁹ bytes. */
  void print(PrintWriter out) {
    out.printf(Locale.ROOT, "%-28s %8s%n", "limit", "GB/s");
    for (Limit limit : limits()) {
      out.printf(Locale.ROOT, "%-28s %8.2f%n", limit.name(), limit.gigabytesPerSecond());
    }
    if (!paths.isEmpty()) {
      out.printf(Locale.ROOT, "%n%-28s %8s   %-12s %8s%n", "path", "GB/s", "limit", "of limit");
      for (PathOfLimit path : paths()) {
        out.printf(Locale.ROOT, "%-28s %8.2f   %-12s %7.0f%%%n", path.name(), path.gigabytesPerSecond(),
            path.limit(), path.fractionOfLimit() * 100);
      }
    }
    out.flush();
  }

  void writeJson(File file) throws IOException {
    Map<String, Object> machine = new LinkedHashMap<>();
    machine.put("os", System.getProperty("os.name") + ' ' + System.getProperty("os.version"));
    machine.put("arch", System.getProperty("os.arch"));
    machine.put("processors", Runtime.getRuntime().availableProcessors());
    machine.put("jdk", Runtime.version().toString());
    new ObjectMapper()
        .enable(SerializationFeature.INDENT_OUTPUT)
        .writeValue(file, new Json(machine, limits(), paths()));
  }
}
