package io.kvcache.bench.quality;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.kvcache.DType;
import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.bench.EncodingNames;
import io.kvcache.bench.Invocation;
import io.kvcache.bench.model.KvState;
import io.kvcache.bench.model.ModelWeights;
import io.kvcache.bench.model.Transformer;
import io.kvcache.bench.quality.FidelityResult.Row;
import io.kvcache.bench.serving.Weights;
import io.kvcache.compress.Compressors;
import io.kvcache.spi.Compressor;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.IntFunction;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the shipped model makes of every codec, and the order that is expected of them. */
class FidelityScoresTest {
  private static final int PROMPTS = 12;
  private static final int PERCENT = 50;
  private static final Set<DropMethod> BY_KEYS = Set.of(DropMethod.KNORM, DropMethod.KEYDIFF);

  private static ModelWeights weights;
  private static FidelityResult result;

  @BeforeAll
  static void run() throws Exception {
    weights = Weights.shipped();
    result = result(PROMPTS, FidelityRun.encodings().stream()
        .filter(each -> !each.dropsTokens() || (at(PERCENT, each) && BY_KEYS.contains(each.dropping())))
        .toList());
  }

  private static boolean at(int percent, Encoding encoding) {
    return encoding.retainedPercent() == percent && encoding.codec() == Encoding.RAW.codec()
        && !encoding.uniform();
  }

  private static FidelityResult result(int prompts, List<Encoding> encodings) throws Exception {
    IntFunction<FidelityPrompt> source = FidelityPrompts.documents(3);
    List<Map<Encoding, FidelityOutcome>> outcomes = SensitivityCommand.inParallel(prompts, number -> {
      try (FidelityRun run = new FidelityRun(weights, DType.BF16, Compressors.all())) {
        return run.run(source.apply(number), encodings);
      }
    });
    return new FidelityResult("shipped", DType.BF16, IntStream.range(0, prompts).mapToObj(source).toList(),
        outcomes, speeds(weights, source.apply(0), encodings));
  }

  /** Of a rotation too small to mean anything. */
  private static Map<Encoding, CodecSpeeds.Speed> speeds(ModelWeights weights, FidelityPrompt prompt,
      List<Encoding> encodings) {
    try (Transformer transformer = new Transformer(weights, 2);
        KvState state = transformer.newState(prompt.tokens().length);
        CodecSpeeds speeds = new CodecSpeeds(FidelityRun.layoutOf(weights.config(), DType.BF16), 1)) {
      transformer.prefill(state, prompt.tokens());
      speeds.add(state);
      assertTrue(speeds.full());
      Encoding some = Encoding.of(Compressors.int4().codec()).keeping(DropMethod.H2O, 30);
      assertTrue(speeds.of(some).decode() > 0 && speeds.of(some).encode() > 0, "int4 behind dropping");
      return encodings.stream().collect(Collectors.toMap(each -> each, speeds::of));
    }
  }

  private static Row row(Encoding encoding) {
    return row(result, encoding);
  }

  private static Row row(FidelityResult result, Encoding encoding) {
    return result.rows().stream().filter(row -> row.encoding().equals(encoding)).findFirst().orElseThrow();
  }

  private static Row row(Compressor codec) {
    return row(Encoding.of(codec.codec()));
  }

  @Test
  void everyCodecAndRateIsScored() {
    List<Encoding> all = FidelityRun.encodings();
    assertEquals(all.size(), new HashSet<>(all).size());
    Compressors.all().forEach(codec -> assertTrue(all.contains(Encoding.of(codec.codec())), codec.name()));
    for (DropMethod method : DropMethod.values()) {
      for (int percent : FidelityRun.PERCENTS) {
        if (method != DropMethod.NONE) {
          assertTrue(all.contains(Encoding.RAW.keeping(method, percent)));
          assertTrue(all.contains(Encoding.of(Compressors.int4().codec()).keeping(method, percent)));
        }
      }
    }
    assertTrue(
        result.prompts().stream().allMatch(each -> each.tokens().length >= FidelityPrompts.LEAST_TOKENS));
    assertEquals(6, row(Encoding.RAW).accuracyByKind().size());
  }

  @Test
  void exactCodecsChangeNothing() {
    assertEquals(2048, result.rawBytesPerToken());
    List<Encoding> exact = Stream.concat(Stream.of(Encoding.RAW), Compressors.all().stream()
        .filter(codec -> codec.fidelity().exact()).map(codec -> Encoding.of(codec.codec()))).toList();
    assertTrue(exact.size() > 1);
    for (Encoding encoding : exact) {
      Row row = row(encoding);
      assertEquals(0, row.kl().value(), encoding.toString());
      assertEquals(1, row.top1().value());
      assertEquals(0, row.keys() + row.values() + row.attention());
      assertEquals(row(Encoding.RAW).accuracy(), row.accuracy());
      assertTrue(row.fractionOfRaw() <= 1, row::toString);
    }
    assertEquals(1, row(Encoding.RAW).fractionOfRaw());
  }

  @Test
  void lossyCodecsLoseInOrder() {
    assertTrue(row(Compressors.int8()).kl().value() < 1e-4, row(Compressors.int8())::toString);
    assertEquals(row(Encoding.RAW).accuracy().value(), row(Compressors.int8()).accuracy().value());
    assertLessLost("int8", "int4");
    assertLessLost("int4", "int2");
    assertLessLost("int8", "fp8");
    for (Compressor codec : Compressors.all()) {
      Row row = row(codec);
      assertTrue(row.fractionOfRaw() < 1, codec.name() + " " + row);
      assertTrue(codec.fidelity().exact() || (row.keys() > 0 && row.values() > 0 && row.attention() > 0),
          row::toString);
    }
  }

  /** Where both are in the list. */
  private static void assertLessLost(String better, String worse) {
    List<Row> rows = Stream.of(better, worse)
        .flatMap(name -> Compressors.all().stream().filter(codec -> codec.name().equals(name)))
        .map(FidelityScoresTest::row).toList();
    if (rows.size() == 2) {
      assertTrue(rows.get(0).attention() < rows.get(1).attention(), rows::toString);
      assertTrue(rows.get(0).kl().value() < rows.get(1).kl().value(), rows::toString);
      assertTrue(rows.get(0).accuracy().value() >= rows.get(1).accuracy().value(), rows::toString);
    }
  }

  /**
   * The best of each way of choosing: Knorm drops what this model needs, and SnapKV goes by the end of a document,
   * which does not ask; so that single methods do not come in this order.
   */
  @Test
  void choosingByQueriesIsBetterThanByKeysAndThatBetterThanByPosition() throws Exception {
    FidelityResult dropped =
        result(2 * PROMPTS, FidelityRun.encodings().stream().filter(each -> at(PERCENT, each)).toList());
    double byQueries =
        bestAccuracy(dropped, Stream.of(DropMethod.values()).filter(DropMethod::needsScores).toList());
    double byKeys = bestAccuracy(dropped, BY_KEYS);
    double byPosition = bestAccuracy(dropped, Set.of(DropMethod.STREAMING_LLM));
    assertTrue(byQueries > byKeys && byKeys > byPosition, byQueries + " " + byKeys + " " + byPosition);
  }

  private static double bestAccuracy(FidelityResult dropped, Collection<DropMethod> methods) {
    return methods.stream()
        .mapToDouble(method -> row(dropped, Encoding.RAW.keeping(method, PERCENT)).accuracy().value()).max()
        .orElseThrow();
  }

  @Test
  void droppingKeepsItsShareOfBytes() {
    for (Row row : result.rows()) {
      if (row.encoding().dropsTokens()) {
        // And a bit a token and head of the positions, 8 of 8,192 bits of a token's KV.
        assertEquals(PERCENT / 100.0 + 1 / 2048.0, row.fractionOfRaw(), 1e-3, row::toString);
        assertTrue(row.keys() > 0.4 && row.keys() < 1, row::toString);
      }
    }
  }

  @Test
  void divergenceIsThatOfDistributions() {
    float[] exact = {(float) Math.log(0.5), (float) Math.log(0.25), (float) Math.log(0.25)};
    float[] other = {(float) Math.log(0.25) + 7, (float) Math.log(0.5) + 7, (float) Math.log(0.25) + 7};
    assertEquals(0, FidelityRun.divergence(exact, exact.clone()), 1e-12);
    assertEquals(0.5 * Math.log(2) - 0.25 * Math.log(2), FidelityRun.divergence(exact, other), 1e-6);
  }

  @Test
  void errorsAddUp() {
    RelativeError error = new RelativeError();
    error.addDropped(3, 0, 4);
    assertEquals(1, error.value());
    error.addKept(new float[] {3}, new float[] {3});
    assertEquals(0.8, error.value(), 1e-12);
    RelativeError more = new RelativeError();
    more.add(new float[] {12}, new float[] {12});
    error.add(more);
    assertEquals(4 / 13.0, error.value(), 1e-12);
  }

  @Test
  void frontierIsWhatNothingBeats() {
    List<Row> frontier = FidelityReport.frontier(result.rows(), each -> each.kl().value());
    for (int at = 1; at < frontier.size(); at++) {
      assertTrue(frontier.get(at).fractionOfRaw() < frontier.get(at - 1).fractionOfRaw());
      assertTrue(frontier.get(at).kl().value() > frontier.get(at - 1).kl().value());
    }
    for (Row row : result.rows()) {
      boolean beaten = frontier.stream().anyMatch(each -> each.fractionOfRaw() <= row.fractionOfRaw()
          && each.kl().value() <= row.kl().value());
      assertTrue(beaten, () -> row + " is on no side of the frontier"); // those on it beat themselves
    }
    assertTrue(!frontier.contains(row(Encoding.RAW)), "lossless codecs are smaller and lose nothing");
    assertTrue(!frontier.contains(row(Encoding.RAW.keeping(DropMethod.KNORM, PERCENT))));
  }

  @Test
  void reportsAreWhatWasFound(@TempDir Path directory) throws IOException {
    FidelityReport report = new FidelityReport("kvcache-bench fidelity", List.of(result));
    StringWriter out = new StringWriter();
    report.print(new PrintWriter(out));
    assertTrue(out.toString().contains("12 prompts of"), out::toString);
    Path html = directory.resolve("fidelity.html");
    report.writeHtml(html);
    String page = Files.readString(html);
    assertEquals(4, page.split("<canvas", -1).length - 1, "plots");
    Path json = directory.resolve("fidelity.json");
    report.writeJson(json.toFile());
    JsonNode root = new ObjectMapper().readTree(json.toFile());
    assertEquals(result.rows().size(), root.get("rows").size());
    Map<String, JsonNode> byName = new LinkedHashMap<>();
    root.get("rows").forEach(row -> byName.put(row.get("codec").asText(), row));
    JsonNode int4 = byName.get("int4");
    Row expected = row(Compressors.int4());
    assertEquals(32, int4.get("parameters").get("codecParameters").asInt());
    assertEquals(expected.bytesPerToken(), int4.get("bytesPerToken").asDouble());
    assertEquals(expected.fractionOfRaw(), int4.get("fractionOfRaw").asDouble());
    assertEquals(expected.attention(), int4.get("attentionRelError").asDouble());
    assertEquals(expected.kl().value(), int4.get("klMean").asDouble());
    assertTrue(int4.get("klHigh").asDouble() > int4.get("klMean").asDouble());
    assertEquals(expected.top1().value(), int4.get("top1Agreement").asDouble());
    assertEquals(expected.accuracy().value(), int4.get("accuracy").asDouble());
    assertTrue(int4.get("encodeGBps").asDouble() > 0 && int4.get("decodeGBps").asDouble() > 0);
    for (Row row : result.rows()) {
      assertTrue(byName.containsKey(EncodingNames.nameOf(row.encoding())), byName.keySet()::toString);
      assertTrue(page.contains("<td>" + EncodingNames.nameOf(row.encoding()) + "</td>"));
    }
  }

  @Test
  @Tag("long")
  void commandScoresTheShippedModel(@TempDir Path directory) throws IOException {
    Path json = directory.resolve("fidelity.json");
    Path html = directory.resolve("fidelity.html");
    Invocation bench = new Invocation();
    assertEquals(0,
        bench.run("fidelity", "--prompts", "2", "--json", json.toString(), "--html", html.toString()),
        bench::err);
    JsonNode root = new ObjectMapper().readTree(json.toFile());
    assertEquals(FidelityRun.encodings().size(), root.get("rows").size());
    assertTrue(root.get("command").asText().startsWith("kvcache-bench fidelity --prompts 2"), root::toString);
    assertTrue(Files.size(html) > 200_000);
    assertTrue(bench.err().contains("2 of 2 prompts"), bench::err);
  }

  @Test
  void wrongNumbersAreRefused() {
    Invocation bench = new Invocation();
    assertEquals(2, bench.run("fidelity", "--prompts", "0"));
    assertTrue(bench.err().startsWith("kvcache-bench fidelity: --prompts is 0, must be 1 to"), bench::err);
  }
}
