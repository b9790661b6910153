package io.kvcache.bench.quality;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.DType;
import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.KvHalf;
import io.kvcache.KvShape;
import io.kvcache.bench.model.ModelWeights;
import io.kvcache.bench.model.Tokenizer;
import io.kvcache.compress.Compressors;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.MalformedDataException;
import io.kvcache.testkit.ForwardingCompressor;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntFunction;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * Goal: divergences measured here are those that others measure. Method: a published model and a table of what lossy KV
 * does to it, computed by an independent implementation in float32, beside what this engine says of the same encodings.
 *
 * <p>The table's quantized rows leave recent tokens exact, int4 the keys of up to 31, int2 all of 32 and those; so do
 * prompts here that have as many tokens behind their last full chunk. Its int8 has one scale for a channel of the whole
 * prompt, ours for 64 tokens, which is closer.
 */
class FidelityAgreementTest {
  private static final Encoding INT8 = Encoding.of(Compressors.int8().codec());
  private static final Encoding INT4 = Encoding.of(Compressors.int4().codec());
  private static final Encoding INT4_BY_TOKEN = Encoding.of(60_009);
  private static final String INT2_NAME = "int2";

  /** Encoding, tokens that stay exact, and the table's divergence; in the table's order. */
  private record Published(String name, Encoding encoding, int exact, double kl) {}

  private static List<Published> table() {
    List<Published> rows = new ArrayList<>(List.of(
        new Published("int8", INT8, 1, 1.8e-5),
        new Published("int4", INT4, 16, 7.2e-4),
        new Published("SnapKV, half", Encoding.RAW.keeping(DropMethod.SNAPKV, 50), 1, 1.8e-3),
        new Published("StreamingLLM, half", Encoding.RAW.keeping(DropMethod.STREAMING_LLM, 50), 1, 4.3e-3)));
    Compressors.all().stream().filter(codec -> codec.name().equals(INT2_NAME))
        .forEach(int2 -> rows.add(new Published("int2", Encoding.of(int2.codec()), 48, 3.2e-2)));
    rows.add(new Published("int4, keys by token", INT4_BY_TOKEN, 1, 8.1e-2));
    rows.add(new Published("Knorm, half", Encoding.RAW.keeping(DropMethod.KNORM, 50), 1, 1.2e-1));
    return rows;
  }

  /** What KIVI is not: keys share a scale as values do, with the other channels of their token. */
  private static final class KeysByToken extends ForwardingCompressor {
    KeysByToken() {
      super(Compressors.int4());
    }

    private static KvShape asValues(KvShape shape) {
      return new KvShape(KvHalf.VALUES, shape.tokens(), shape.kvHeads(), shape.dim(), shape.dtype());
    }

    @Override
    public int codec() {
      return INT4_BY_TOKEN.codec();
    }

    @Override
    public long maxStoredBytes(KvShape shape) {
      return super.maxStoredBytes(asValues(shape));
    }

    @Override
    public long compress(KvShape shape, MemorySegment source, MemorySegment target) {
      return super.compress(asValues(shape), source, target);
    }

    @Override
    public void decompress(KvShape shape, int parameters, MemorySegment stored, MemorySegment target)
        throws MalformedDataException {
      super.decompress(asValues(shape), parameters, stored, target);
    }
  }

  /** Few prompts say less exactly what many do. */
  @Test
  void agreesWithTheTableRoughly() throws Exception {
    Map<Published, Double> measured = measured(24);
    requireWithin(3, measured);
    List<Double> kl = List.copyOf(measured.values());
    assertTrue(kl.get(0) < kl.get(1) && kl.get(1) < kl.get(2) && kl.get(3) < kl.getLast(),
        measured::toString);
  }

  @Test
  @Tag("long")
  void agreesWithTheTable() throws Exception {
    Map<Published, Double> measured = measured(200);
    measured.forEach((row, kl) -> System.out.printf("%-20s %.1e, published %.1e%n", row.name, kl, row.kl));
    requireWithin(2, measured);
    List<Double> kl = List.copyOf(measured.values());
    for (int at = 1; at < kl.size(); at++) {
      assertTrue(kl.get(at - 1) < kl.get(at), measured::toString);
    }
  }

  private static void requireWithin(double factor, Map<Published, Double> measured) {
    measured.forEach((row, kl) -> assertTrue(kl < factor * row.kl && kl > row.kl / factor,
        () -> row.name + ": " + kl + ", published " + row.kl));
  }

  /** Mean divergences, in the table's order. */
  private static Map<Published, Double> measured(int prompts) throws Exception {
    Path shared = Path.of(System.getProperty("kvcache.shared", "../../shared/data"));
    Path model = shared.resolve("models/stories260K.bin");
    if (!Files.exists(model)) {
      System.out.println("NOTICE: FidelityAgreementTest is skipped, there is no " + model.toAbsolutePath()
          + " (set -Dkvcache.shared)");
    }
    Assumptions.assumeTrue(Files.exists(model), model + " is missing");
    ModelWeights weights = ModelWeights.read(model);
    Map<Published, Double> byRow = new LinkedHashMap<>();
    table().forEach(row -> byRow.put(row, 0.0));
    for (int exact : table().stream().mapToInt(Published::exact).distinct().toArray()) {
      List<Published> rows = table().stream().filter(row -> row.exact == exact).toList();
      List<Map<Encoding, FidelityOutcome>> outcomes = outcomes(weights, shared, prompts, rows);
      for (Published row : rows) {
        byRow.put(row, outcomes.stream().map(each -> each.get(row.encoding))
            .mapToDouble(each -> each.kl() / each.scored()).average().orElseThrow());
      }
    }
    return byRow;
  }

  private static List<Map<Encoding, FidelityOutcome>> outcomes(ModelWeights weights, Path shared, int prompts,
      List<Published> rows) throws Exception {
    IntFunction<FidelityPrompt> source = text(weights, shared, prompts, rows.getFirst().exact);
    List<Encoding> encodings = rows.stream().map(Published::encoding).toList();
    List<Compressor> codecs =
        Stream.concat(Compressors.all().stream(), Stream.of(new KeysByToken())).toList();
    return SensitivityCommand.inParallel(prompts, number -> {
      try (FidelityRun run = new FidelityRun(weights, DType.F16, codecs)) {
        return run.run(source.apply(number), encodings);
      }
    });
  }

  private static IntFunction<FidelityPrompt> text(ModelWeights weights, Path shared, int prompts, int exact)
      throws IOException {
    Tokenizer tokenizer =
        Tokenizer.read(shared.resolve("models/tok512.bin"), weights.config().vocabulary());
    return FidelityPrompts.text(shared.resolve("text/tinystories_val.txt"), tokenizer, weights.config(),
        prompts,
        exact);
  }
}
