package io.kvcache.bench.quality;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.bench.EncodingNames;
import io.kvcache.bench.quality.ContextOutcome.Outcome;
import io.kvcache.bench.task.DocumentKind;
import java.io.File;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.ToDoubleFunction;
import java.util.stream.Stream;

/** What was found, for people and for programs. */
final class SensitivityReport {
  private final long seed;
  private final List<ContextOutcome> contexts;

  SensitivityReport(long seed, List<ContextOutcome> contexts) {
    this.seed = seed;
    this.contexts = contexts;
  }

  /**
   * One kind by one encoding.
   *
   * @param questions asked
   * @param accuracy share answered exactly right
   * @param quality mean quality of the contexts
   */
  record Cell(int questions, double accuracy, double quality) {}

  private Cell cell(DocumentKind kind, Encoding encoding) {
    List<Outcome> outcomes = contexts.stream().filter(context -> context.kind() == kind)
        .map(context -> context.byEncoding().get(encoding)).toList();
    int questions = outcomes.stream().mapToInt(Outcome::questions).sum();
    int correct = outcomes.stream().mapToInt(Outcome::correct).sum();
    double quality = outcomes.stream().mapToDouble(outcome -> outcome.quality() * outcome.questions()).sum();
    return new Cell(questions, (double) correct / questions, quality / questions);
  }

  private List<Encoding> encodings() {
    return List.copyOf(contexts.getFirst().byEncoding().keySet());
  }

  private static String name(DocumentKind kind) {
    return kind.name().toLowerCase(Locale.ROOT);
  }

  void print(PrintWriter out) {
    out.printf("Accuracy in %%, and quality in %% of the answer from exact KV:%n%n%-20s", "");
    for (DocumentKind kind : DocumentKind.values()) {
      out.printf(" %11s", name(kind));
    }
    out.printf(" %8s%n%-20s", "spread", "questions");
    for (DocumentKind kind : DocumentKind.values()) {
      out.printf(" %11d", cell(kind, Encoding.RAW).questions());
    }
    out.println();
    for (Encoding encoding : encodings()) {
      printRow(out, encoding);
    }
    printBest(out);
    printEstimate(out);
    out.flush();
  }

  private void printRow(PrintWriter out, Encoding encoding) {
    out.printf("%-20s", EncodingNames.nameOf(encoding));
    double least = 1;
    double most = 0;
    for (DocumentKind kind : DocumentKind.values()) {
      Cell cell = cell(kind, encoding);
      out.printf(Locale.ROOT, "   %4.0f /%4.0f", 100 * cell.accuracy(), 100 * cell.quality());
      least = Math.min(least, cell.accuracy());
      most = Math.max(most, cell.accuracy());
    }
    out.printf(Locale.ROOT, " %8.0f%n", 100 * (most - least));
  }

  /** The dropping method of highest accuracy, then quality, for every rate that all methods were tried at. */
  private void printBest(PrintWriter out) {
    out.printf("%nBest method:%n%n%-20s", "");
    for (DocumentKind kind : DocumentKind.values()) {
      out.printf(" %14s", name(kind));
    }
    out.println();
    for (Encoding rate : encodings()) {
      if (rate.dropping() == DropMethod.STREAMING_LLM) { // stands for its rate
        out.printf("%-20s",
            "*" + EncodingNames.nameOf(rate).substring(DropMethod.STREAMING_LLM.label().length()));
        for (DocumentKind kind : DocumentKind.values()) {
          Encoding best = best(kind, rate);
          out.printf(Locale.ROOT, " %10s %3.0f", best.dropping().label(), 100 * cell(kind, best).accuracy());
        }
        out.println();
      }
    }
  }

  private void printEstimate(PrintWriter out) {
    out.printf(
        "%nRank correlation of the estimate from KV alone with quality, over the encodings of a context:%n%n");
    correlations().forEach((kind, mean) -> out.printf(Locale.ROOT,
        "%-12s %6.3f   95 %% interval %.3f to %.3f, %d contexts%n", kind, mean.mean(), mean.low(),
        mean.high(),
        mean.contexts()));
    out.printf(Locale.ROOT, "%nAn estimate took %.1f ms at the median.%n", medianEstimateMillis());
  }

  /** By kind, and over all. Contexts whose quality is the same by all encodings say nothing. */
  private Map<String, RankCorrelation.Mean> correlations() {
    Map<String, List<Double>> values = new LinkedHashMap<>();
    for (DocumentKind kind : DocumentKind.values()) {
      values.put(name(kind), new ArrayList<>());
    }
    values.put("all", new ArrayList<>());
    for (ContextOutcome context : contexts) {
      double correlation =
          RankCorrelation.spearman(column(context, Outcome::quality), column(context, Outcome::estimate));
      values.get(name(context.kind())).add(correlation);
      values.get("all").add(correlation);
    }
    Map<String, RankCorrelation.Mean> means = new LinkedHashMap<>();
    values.forEach((kind, each) -> means.put(kind, RankCorrelation.mean(each)));
    return means;
  }

  private static double[] column(ContextOutcome context, ToDoubleFunction<Outcome> of) {
    return context.byEncoding().values().stream().mapToDouble(of).toArray();
  }

  private double medianEstimateMillis() {
    long[] nanos = contexts.stream().flatMap(context -> context.byEncoding().values().stream())
        .mapToLong(Outcome::estimateNanos).sorted().toArray();
    return nanos[nanos.length / 2] / 1e6;
  }

  private Encoding best(DocumentKind kind, Encoding rate) {
    return Stream.of(DropMethod.values()).filter(method -> method != DropMethod.NONE)
        .map(method -> Encoding.of(rate.codec()).keeping(method, rate.retainedPercent()))
        .max(Comparator.<Encoding>comparingDouble(encoding -> cell(kind, encoding).accuracy())
            .thenComparingDouble(encoding -> cell(kind, encoding).quality()))
        .orElseThrow();
  }

  void writeJson(File file) throws IOException {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("seed", seed);
    List<Map<String, Object>> cells = new ArrayList<>();
    for (DocumentKind kind : DocumentKind.values()) {
      for (Encoding encoding : encodings()) {
        Cell cell = cell(kind, encoding);
        cells.add(
            Map.of("kind", name(kind), "encoding", EncodingNames.nameOf(encoding), "questions",
                cell.questions(), "accuracy",
                cell.accuracy(), "quality", cell.quality()));
      }
    }
    json.put("cells", cells);
    json.put("spearman", correlations());
    json.put("estimateMillisMedian", medianEstimateMillis());
    List<Map<String, Object>> documents = new ArrayList<>();
    for (ContextOutcome context : contexts) {
      Map<String, Object> byEncoding = new LinkedHashMap<>();
      context.byEncoding()
          .forEach((encoding, outcome) -> byEncoding.put(EncodingNames.nameOf(encoding), outcome));
      documents
          .add(Map.of("kind", name(context.kind()), "number", context.number(), "tokens", context.tokens(),
              "encodings", byEncoding));
    }
    json.put("contexts", documents);
    new ObjectMapper().writerWithDefaultPrettyPrinter().writeValue(file, json);
  }
}
