package io.kvcache.bench.report;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.kvcache.bench.Machine;
import java.io.IOException;
import java.io.InputStream;
import java.io.StringReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.stream.Collectors;

/**
 * A page that says what was measured, how, and where: text, tables and plots in the order in which they are added,
 * after the command line and the machine. The page is one file that needs nothing else, neither network nor other
 * files; the plots are drawn by Chart.js, which is part of it. Whoever reads it without scripts has all figures in the
 * tables.
 * Not thread-safe.
 */
public final class Report {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String WEBJAR = "META-INF/resources/webjars/chart.js/%s/dist/chart.umd.min.js";
  private static final String WEBJAR_VERSION = "META-INF/maven/org.webjars.npm/chart.js/pom.properties";

  private final String title;
  private final StringBuilder body = new StringBuilder();
  private final List<Plot> plots = new ArrayList<>();

  /**
   * A page without content yet.
   *
   * @param command the command line that makes the figures
   */
  public Report(String title, String command) {
    this.title = title;
    body.append("<p>Made on ").append(Instant.now().truncatedTo(ChronoUnit.MINUTES)).append(" by</p>\n<pre>")
        .append(escaped(command)).append("</pre>\n<p>on ").append(escaped(Machine.description()))
        .append("</p>\n");
  }

  /** Adds a heading. */
  public Report heading(String text) {
    body.append("<h2>").append(escaped(text)).append("</h2>\n");
    return this;
  }

  /** Adds a paragraph. */
  public Report text(String text) {
    body.append("<p>").append(escaped(text)).append("</p>\n");
    return this;
  }

  /** Adds a table as it is now. */
  public Report table(Table table) {
    body.append("<table>\n<thead>");
    appendRow(table, table.columns(), "th");
    body.append("</thead>\n<tbody>\n");
    table.rows().forEach(row -> appendRow(table, row, "td"));
    body.append("</tbody>\n</table>\n");
    return this;
  }

  private void appendRow(Table table, List<String> cells, String element) {
    body.append("<tr>");
    for (int column = 0; column < cells.size(); column++) {
      body.append('<').append(element).append(table.ofFigures(column) ? " class=\"figure\">" : ">")
          .append(escaped(cells.get(column))).append("</").append(element).append('>');
    }
    body.append("</tr>\n");
  }

  /** Adds a plot. */
  public Report plot(Plot plot) {
    body.append("<figure><figcaption>").append(escaped(plot.title()))
        .append("</figcaption><div class=\"plot\"><canvas id=\"plot").append(plots.size())
        .append("\"></canvas></div></figure>\n");
    plots.add(plot);
    return this;
  }

  /**
   * Writes the page.
   *
   * @throws IOException when the file cannot be written
   */
  public void writeTo(Path file) throws IOException {
    String page = resource("report.html")
        .replace("@TITLE@", escaped(title))
        .replace("@BODY@", body)
        .replace("@PLOTS@", plots.stream().map(Report::json).collect(Collectors.joining(",\n", "[", "]")))
        .replace("@LIBRARY@", plots.isEmpty() ? "" : library());
    Files.writeString(file, page);
  }

  /** In a script element nothing may look like its end. */
  private static String json(Plot plot) {
    try {
      return JSON.writeValueAsString(plot).replace("<", "\\u003c");
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("a plot of plain records", e);
    }
  }

  private static String library() throws IOException {
    Properties webjar = new Properties();
    webjar.load(new StringReader(
        read(Report.class.getClassLoader().getResourceAsStream(WEBJAR_VERSION), WEBJAR_VERSION)));
    String name = WEBJAR.formatted(webjar.getProperty("version"));
    // The comment at the end would have a browser's tools look for a file beside the page.
    return read(Report.class.getClassLoader().getResourceAsStream(name), name)
        .replaceAll("//# sourceMappingURL=\\S*", "")
        .replace("</script", "<\\/script");
  }

  private static String resource(String name) throws IOException {
    return read(Report.class.getResourceAsStream(name), name);
  }

  private static String read(InputStream resource, String name) throws IOException {
    try (InputStream in = resource) {
      if (in == null) {
        throw new IOException(name + " is not on the class path: build with Maven first");
      }
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    }
  }

  private static String escaped(String text) {
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\"", "&quot;");
  }
}
