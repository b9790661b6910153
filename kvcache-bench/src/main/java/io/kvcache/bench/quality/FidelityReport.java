package io.kvcache.bench.quality;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.bench.EncodingNames;
import io.kvcache.bench.Interval;
import io.kvcache.bench.Machine;
import io.kvcache.bench.quality.FidelityResult.Row;
import io.kvcache.bench.report.Plot;
import io.kvcache.bench.report.Plot.Axis;
import io.kvcache.bench.report.Plot.Point;
import io.kvcache.bench.report.Plot.Series;
import io.kvcache.bench.report.Report;
import io.kvcache.bench.report.Table;
import io.kvcache.compress.Compressors;
import io.kvcache.spi.Compressor;
import java.io.File;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import java.util.function.ToDoubleFunction;
import java.util.stream.Stream;

/** What was found of some models, for people and for programs. */
final class FidelityReport {
  private static final String EXPLANATION = """
      The KV of each prompt's full chunks is replaced once by what comes back of the encoding. KL (nats) and top-1
      compare the model's predictions of the true continuation with those from exact KV. Errors are root mean squares
      relative to the exact numbers; attention is what the exact queries of the continuation read. Sizes are of encoded
      halves and of the positions kept, without a frame's header. GB/s are of uncompressed bytes, one thread, checksums
      included, in chunks of 256 tokens of this model's KV, which are small. A star marks what nothing else beats in
      size and KL at once. Intervals (95 %) are of means over prompts.
      """;

  private final String command;
  private final List<FidelityResult> results;

  FidelityReport(String command, List<FidelityResult> results) {
    this.command = command;
    this.results = results;
  }

  void print(PrintWriter out) {
    for (FidelityResult result : results) {
      out.printf("%n%s%n%n", summary(result));
      table(result.rows()).print(out);
      if (asked(result)) {
        out.printf("%nExact answers by kind of document, %%%n%n");
        kinds(result.rows()).print(out);
      }
    }
    out.printf("%n%s", EXPLANATION);
    out.flush();
  }

  private static String summary(FidelityResult result) {
    return "%s: %d prompts of %.0f tokens on average, KV in %s, %.0f bytes a token, chunks of %d tokens"
        .formatted(result.model(), result.prompts().size(), result.tokensPerPrompt(), result.dtype(),
            result.rawBytesPerToken(), FidelityRun.CHUNK_TOKENS);
  }

  private static boolean asked(FidelityResult result) {
    return result.rows().getFirst().accuracy() != null;
  }

  private static Table table(List<Row> rows) {
    Table table = new Table("encoding", "", "B/token", "of raw", "enc GB/s", "dec GB/s", "K err", "V err",
        "attn err", "KL", "±", "top-1 %", "±", "exact %", "±");
    List<Row> frontier = frontier(rows);
    for (Row row : rows) {
      table.row(EncodingNames.nameOf(row.encoding()), frontier.contains(row) ? "*" : "",
          Table.figure(row.bytesPerToken(), 1), Table.figure(row.fractionOfRaw(), 3),
          Table.figure(row.speed().encode(), 2), Table.figure(row.speed().decode(), 2),
          Table.figure(row.keys(), 4), Table.figure(row.values(), 4), Table.figure(row.attention(), 4),
          Table.small(row.kl().value()), Table.small(reach(row.kl())),
          Table.figure(100 * row.top1().value(), 2), Table.figure(100 * reach(row.top1()), 2),
          row.accuracy() == null ? "" : Table.figure(100 * row.accuracy().value(), 1),
          row.accuracy() == null ? "" : Table.figure(100 * reach(row.accuracy()), 1));
    }
    return table;
  }

  /** How far the interval goes on its longer side; nothing can be said of a single prompt. */
  private static double reach(Interval interval) {
    return interval.bounded()
        ? Math.max(interval.high() - interval.value(), interval.value() - interval.low())
        : Double.NaN;
  }

  private static Table kinds(List<Row> rows) {
    List<String> kinds = List.copyOf(rows.getFirst().accuracyByKind().keySet());
    Table table = new Table(Stream.concat(Stream.of("encoding"), kinds.stream()).toArray(String[]::new));
    for (Row row : rows) {
      table.row(Stream.concat(Stream.of(EncodingNames.nameOf(row.encoding())),
          kinds.stream().map(kind -> Table.figure(100 * row.accuracyByKind().get(kind), 0)))
          .toArray(String[]::new));
    }
    return table;
  }

  private static List<Row> frontier(List<Row> rows) {
    return frontier(rows, row -> row.kl().value());
  }

  /** What no other row beats in size and loss, being no worse in either and better in one; largest first. */
  static List<Row> frontier(List<Row> rows, ToDoubleFunction<Row> loss) {
    return rows.stream().filter(row -> rows.stream().noneMatch(other -> beats(other, row, loss)))
        .sorted(Comparator.comparingDouble(Row::fractionOfRaw).reversed()).toList();
  }

  private static boolean beats(Row one, Row other, ToDoubleFunction<Row> loss) {
    double bytes = one.fractionOfRaw() - other.fractionOfRaw();
    double lost = loss.applyAsDouble(one) - loss.applyAsDouble(other);
    return bytes <= 0 && lost <= 0 && (bytes < 0 || lost < 0);
  }

  void writeHtml(Path file) throws IOException {
    Report report = new Report("Fidelity of every codec and rate", command);
    report.text(EXPLANATION);
    for (FidelityResult result : results) {
      List<Row> rows = result.rows();
      report.heading(summary(result));
      report.plot(plot(rows, "Size against divergence", new Axis("KL from exact KV, nats", true),
          row -> row.kl().value(), 1));
      report.plot(plot(rows, "Size against disagreement", new Axis("predictions that differ, %", true),
          row -> 100 * (1 - row.top1().value()), 1));
      if (asked(result)) {
        report.plot(plot(rows, "Size against answers", new Axis("exact answers, %", false),
            row -> 100 * row.accuracy().value(), -1));
      }
      report.plot(plot(rows, "Size against decoding",
          new Axis("decoding, GB/s of uncompressed bytes, logarithmic", true), row -> row.speed().decode(),
          -1));
      report.table(table(rows));
      if (asked(result)) {
        report.text("Exact answers by kind of document, %").table(kinds(rows));
      }
    }
    report.writeTo(file);
  }

  /** {@code sign} is 1 where less is better, −1 where more is. */
  private static Plot plot(List<Row> rows, String title, Axis quality, ToDoubleFunction<Row> of, int sign) {
    List<Series> series = new ArrayList<>();
    series.add(series("codecs", rows, of, row -> !row.encoding().dropsTokens()));
    for (DropMethod method : DropMethod.values()) {
      if (method != DropMethod.NONE) {
        series.add(series(method.label(), rows, of, row -> row.encoding().dropping() == method
            && row.encoding().codec() == Encoding.RAW.codec() && !row.encoding().uniform()));
        series.add(series(method.label() + "+", rows, of, row -> row.encoding().dropping() == method
            && row.encoding().codec() != Encoding.RAW.codec()));
      }
    }
    series.add(series("same tokens everywhere", rows, of, row -> row.encoding().uniform()));
    series.removeIf(each -> each.points().isEmpty());
    series.add(new Series("frontier", true, frontier(rows, row -> sign * of.applyAsDouble(row)).stream()
        .map(row -> point(row, of)).toList()));
    return new Plot(title, new Axis("stored bytes, share of raw", false), quality, series);
  }

  private static Series series(String name, List<Row> rows, ToDoubleFunction<Row> of, Predicate<Row> which) {
    return new Series(name, false, rows.stream().filter(which).map(row -> point(row, of)).toList());
  }

  private static Point point(Row row, ToDoubleFunction<Row> of) {
    return new Point(row.fractionOfRaw(), of.applyAsDouble(row), EncodingNames.nameOf(row.encoding()));
  }

  void writeJson(File file) throws IOException {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("command", command);
    json.put("machine", Machine.description());
    List<Map<String, Object>> models = new ArrayList<>();
    List<Map<String, Object>> rows = new ArrayList<>();
    for (FidelityResult result : results) {
      models
          .add(Map.of("name", result.model(), "elements", result.dtype(), "prompts", result.prompts().size(),
              "tokensPerPrompt", result.tokensPerPrompt(), "rawBytesPerToken", result.rawBytesPerToken(),
              "chunkTokens", FidelityRun.CHUNK_TOKENS));
      List<Row> frontier = frontier(result.rows());
      result.rows().forEach(row -> rows.add(json(result.model(), row, frontier.contains(row))));
    }
    json.put("models", models);
    json.put("rows", rows);
    new ObjectMapper().writerWithDefaultPrettyPrinter().writeValue(file, json);
  }

  private static Map<String, Object> json(String model, Row row, boolean frontier) {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("model", model);
    json.put("codec", EncodingNames.nameOf(row.encoding()));
    json.put("parameters", parameters(row.encoding()));
    json.put("bytesPerToken", row.bytesPerToken());
    json.put("fractionOfRaw", row.fractionOfRaw());
    json.put("encodeGBps", row.speed().encode());
    json.put("decodeGBps", row.speed().decode());
    json.put("keyRelError", row.keys());
    json.put("valueRelError", row.values());
    json.put("attentionRelError", row.attention());
    put(json, "klMean", "kl", row.kl());
    put(json, "top1Agreement", "top1", row.top1());
    put(json, "accuracy", "accuracy", row.accuracy());
    json.put("accuracyByKind", row.accuracyByKind());
    json.put("frontier", frontier);
    return json;
  }

  private static void put(Map<String, Object> json, String name, String prefix, Interval interval) {
    boolean bounded = interval != null && interval.bounded();
    json.put(name, interval == null ? null : interval.value());
    json.put(prefix + "Low", bounded ? interval.low() : null);
    json.put(prefix + "High", bounded ? interval.high() : null);
  }

  private static Map<String, Object> parameters(Encoding encoding) {
    Map<String, Object> parameters = new LinkedHashMap<>();
    parameters.put("codecParameters", Compressors.all().stream()
        .filter(codec -> codec.codec() == encoding.codec()).mapToInt(Compressor::parameters).findFirst()
        .orElse(0));
    parameters.put("dropping", encoding.dropping().label());
    parameters.put("retainedPercent", encoding.retainedPercent());
    parameters.put("uniform", encoding.uniform());
    return parameters;
  }
}
