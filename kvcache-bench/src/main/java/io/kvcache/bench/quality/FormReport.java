package io.kvcache.bench.quality;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.kvcache.DropMethod;
import io.kvcache.bench.quality.FormRun.Choice;
import io.kvcache.bench.quality.FormRun.Outcome;
import java.io.File;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.ToDoubleFunction;

/** What each form was worth, for people and for programs. */
final class FormReport {
  private static final String CELL = " %15s";

  private final long seed;
  private final List<Map<Choice, Outcome>> documents;

  FormReport(long seed, List<Map<Choice, Outcome>> documents) {
    this.seed = seed;
    this.documents = documents;
  }

  private double mean(Choice choice, ToDoubleFunction<Outcome> of) {
    double sum = 0;
    int questions = 0;
    for (Map<Choice, Outcome> document : documents) {
      sum += of.applyAsDouble(document.get(choice));
      questions += document.get(choice).questions();
    }
    return sum / questions;
  }

  /** By how much more answers come out than in the stored form, in points; by document. */
  private RankCorrelation.Mean gain(Choice choice) {
    Choice stored = new Choice(choice.method(), choice.percent(), DroppingForm.STORED);
    List<Double> gains = new ArrayList<>();
    for (Map<Choice, Outcome> document : documents) {
      Outcome one = document.get(choice);
      gains.add(100.0 * (one.kept() - document.get(stored).kept()) / one.questions());
    }
    return RankCorrelation.mean(gains);
  }

  void print(PrintWriter out) {
    out.printf(
        "Answers of exact KV that came out, in %%, and divergence of their tokens, in nats, %d documents:%n%n",
        documents.size());
    header(out);
    for (DropMethod method : FormRun.METHODS) {
      for (int percent : FormRun.PERCENTS) {
        out.printf("%-13s", method.label() + "-" + percent);
        for (DroppingForm form : DroppingForm.values()) {
          Choice choice = new Choice(method, percent, form);
          out.printf(CELL, String.format(Locale.ROOT, "%.0f /%6.3f", 100 * mean(choice, Outcome::kept),
              mean(choice, Outcome::divergence)));
        }
        out.println();
      }
    }
    out.printf("%-13s", "mean");
    for (DroppingForm form : DroppingForm.values()) {
      out.printf(CELL, String.format(Locale.ROOT, "%.1f /%6.3f", 100 * meanOfAll(form, Outcome::kept),
          meanOfAll(form, Outcome::divergence)));
    }
    out.printf(
        "%n%nPoints gained over the stored form, mean of the documents with the interval of 95 %%:%n%n");
    header(out);
    for (DropMethod method : FormRun.METHODS) {
      for (int percent : FormRun.PERCENTS) {
        out.printf("%-13s", method.label() + "-" + percent);
        for (DroppingForm form : DroppingForm.values()) {
          RankCorrelation.Mean gain = gain(new Choice(method, percent, form));
          out.printf(CELL, form == DroppingForm.STORED ? ""
              : String.format(Locale.ROOT, "%+.0f [%.0f, %.0f]", gain.mean(), gain.low(), gain.high()));
        }
        out.println();
      }
    }
    out.flush();
  }

  private static void header(PrintWriter out) {
    out.printf("%-13s", "");
    for (DroppingForm form : DroppingForm.values()) {
      out.printf(CELL, form.label());
    }
    out.println();
  }

  private double meanOfAll(DroppingForm form, ToDoubleFunction<Outcome> of) {
    return FormRun.METHODS.stream().flatMapToDouble(method -> FormRun.PERCENTS.stream()
        .mapToDouble(percent -> mean(new Choice(method, percent, form), of))).average().orElseThrow();
  }

  void writeJson(File file) throws IOException {
    List<Map<String, Object>> cells = new ArrayList<>();
    for (Choice choice : documents.getFirst().keySet()) {
      cells.add(Map.of("method", choice.method().label(), "percent", choice.percent(), "form",
          choice.form().label(), "answersKept", mean(choice, Outcome::kept), "divergence",
          mean(choice, Outcome::divergence), "gain", gain(choice)));
    }
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("seed", seed);
    json.put("documents", documents.size());
    json.put("cells", cells);
    new ObjectMapper().writerWithDefaultPrettyPrinter().writeValue(file, json);
  }
}
