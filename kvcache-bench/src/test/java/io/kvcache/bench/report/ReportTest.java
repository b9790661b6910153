package io.kvcache.bench.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.kvcache.bench.report.Plot.Axis;
import io.kvcache.bench.report.Plot.Point;
import io.kvcache.bench.report.Plot.Series;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ReportTest {
  private static final String HOSTILE = "</script><b> & \"name\"";

  @TempDir
  private Path directory;

  private static Table table() {
    return new Table("codec", "kl", "note").row("int8", "1.8e-05", "").row(HOSTILE, "12", "much");
  }

  @Test
  void tablesAlignFiguresToTheRight() {
    StringWriter out = new StringWriter();
    new Table("codec", "kl", "note").row("int8", "1.8e-05", "").row("lz4", "0", "much")
        .print(new PrintWriter(out, true));
    assertEquals(List.of("codec       kl  note", "int8   1.8e-05", "lz4          0  much"),
        out.toString().lines().toList());
    assertThrows(IllegalArgumentException.class, () -> table().row("too", "few"));
  }

  @Test
  void figuresAreRounded() {
    assertEquals("0.50", Table.figure(0.5, 2));
    assertEquals("", Table.figure(Double.NaN, 2));
    assertEquals("1.8e-05", Table.small(1.8e-5));
    assertEquals("0", Table.small(0));
  }

  /** Goal: the page needs nothing but itself. Method: no address is left in it outside the library's own text. */
  @Test
  void pageIsSelfContained() throws IOException {
    String page = page();
    assertTrue(page.contains("<pre>kvcache-bench fidelity --prompts 3</pre>"));
    assertTrue(page.contains("Java " + Runtime.version()));
    assertTrue(page.contains("Chart.js v4"), "the library");
    assertFalse(Pattern.compile("(src|href)\\s*=\\s*[\"']?[^>]*>").matcher(withoutLibrary(page)).find());
    assertFalse(page.contains("sourceMappingURL"));
    assertFalse(withoutLibrary(page).contains("http"));
    assertFalse(
        page.contains("@" + "BODY@") || page.contains("@" + "PLOTS@") || page.contains("@" + "LIBRARY@"));
  }

  @Test
  void textIsNoMarkup() throws IOException {
    String page = page();
    assertTrue(page
        .contains("<td>&lt;/script&gt;&lt;b&gt; &amp; &quot;name&quot;</td><td class=\"figure\">12</td>"));
    assertFalse(page.contains("<b>"));
    assertEquals(2, page.split("</script>", -1).length - 1, "ends of scripts");
  }

  @Test
  void plotsArriveAsTheyAre() throws IOException {
    Matcher plots = Pattern.compile("const plots = (.*?);\nplots\\.", Pattern.DOTALL).matcher(page());
    assertTrue(plots.find());
    JsonNode json = new ObjectMapper().readTree(plots.group(1));
    assertEquals(1, json.size());
    JsonNode series = json.get(0).get("series");
    assertTrue(json.get(0).get("y").get("logarithmic").asBoolean());
    assertEquals(HOSTILE, series.get(0).get("name").asText());
    assertEquals(0.3, series.get(0).get("points").get(0).get("x").asDouble());
    assertTrue(series.get(1).get("joined").asBoolean());
  }

  private static String withoutLibrary(String page) {
    return page.substring(0, page.indexOf("<script>")) + page.substring(page.indexOf("</script>"));
  }

  private String page() throws IOException {
    Path file = directory.resolve("report.html");
    new Report("Codecs", "kvcache-bench fidelity --prompts 3")
        .heading("All").text("Some words.").table(table())
        .plot(new Plot("size against quality", new Axis("bytes a token", false), new Axis("KL", true),
            List.of(new Series(HOSTILE, false, List.of(new Point(0.3, 1e-4, "int4"))),
                new Series("frontier", true, List.of(new Point(0.3, 1e-4, "int4"))))))
        .writeTo(file);
    return Files.readString(file);
  }
}
