package io.kvcache.bench.jmh;

import io.kvcache.DType;
import io.kvcache.KvHalf;
import io.kvcache.KvShape;
import io.kvcache.bench.report.Table;
import io.kvcache.compress.Compressors;
import io.kvcache.spi.Compressor;
import java.io.PrintWriter;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.openjdk.jmh.infra.BenchmarkParams;
import org.openjdk.jmh.results.Result;
import org.openjdk.jmh.results.RunResult;

/** What {@link CodecBenchmark} measured, a line for each codec, type and half, in GB/s and as shares of a copy. */
public final class CodecTable {
  private static final String ALLOCATED = "gc.alloc.rate.norm";

  /** Times of one codec, type and half by the benchmark's method. */
  private record Line(String codec, DType dtype, KvHalf half, Map<String, RunResult> byMethod) {
    /** GB of uncompressed bytes a second; NaN where it was not measured. */
    double speed(String method) {
      RunResult result = byMethod.get(method);
      return result == null
          ? Double.NaN
          : CodecBenchmark.shape(half, dtype).bytes() / result.getPrimaryResult().getScore() / 1000;
    }

    String share(String method) {
      return Table.figure(speed(method) / speed("copy"), 2);
    }

    double allocated(String method) {
      RunResult result = byMethod.get(method);
      Result<?> allocated = result == null ? null : result.getSecondaryResults().get(ALLOCATED);
      return allocated == null ? Double.NaN : allocated.getScore();
    }
  }

  private CodecTable() {}

  /** The names of all codecs, as values of the benchmark's parameter. */
  public static List<String> codecs() {
    return Compressors.all().stream().map(Compressor::name).toList();
  }

  /** Writes the table; nothing where the benchmark was not among what ran. */
  public static void print(Collection<RunResult> results, PrintWriter out) {
    Map<List<String>, Line> lines = new LinkedHashMap<>();
    for (RunResult result : results) {
      BenchmarkParams params = result.getParams();
      String name = params.getBenchmark();
      if (name.startsWith(CodecBenchmark.class.getName() + ".")) {
        List<String> key =
            List.of(params.getParam("dtype"), params.getParam("half"), params.getParam("codec"));
        lines.computeIfAbsent(key, any -> new Line(key.get(2), DType.valueOf(key.get(0)),
            KvHalf.valueOf(key.get(1)), new LinkedHashMap<>())).byMethod
            .put(name.substring(name.lastIndexOf('.') + 1), result);
      }
    }
    if (lines.isEmpty()) {
      return;
    }
    Table table = new Table("codec", "type", "half", "of its bytes", "copy GB/s", "decode GB/s", "of copy",
        "encode GB/s", "of copy", "B a decode", "B an encode");
    lines.values().forEach(line -> table.row(line.codec, line.dtype.name(), line.half.name(),
        Table.figure(storedFraction(line), 3), Table.figure(line.speed("copy"), 2),
        Table.figure(line.speed("decode"), 2), line.share("decode"), Table.figure(line.speed("encode"), 2),
        line.share("encode"), Table.figure(line.allocated("decode"), 0),
        Table.figure(line.allocated("encode"), 0)));
    out.println();
    table.print(out);
    out.println("GB/s of uncompressed bytes, checksums included, one thread.");
    out.flush();
  }

  private static double storedFraction(Line line) {
    KvShape shape = CodecBenchmark.shape(line.half, line.dtype);
    return CodecBenchmark.storedFraction(CodecBenchmark.codec(line.codec), shape);
  }
}
