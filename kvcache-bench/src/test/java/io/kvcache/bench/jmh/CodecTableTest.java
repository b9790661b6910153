package io.kvcache.bench.jmh;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.DType;
import io.kvcache.KvHalf;
import io.kvcache.compress.Compressors;
import io.kvcache.spi.Compressor;
import org.junit.jupiter.api.Test;

class CodecTableTest {
  /** Goal: a codec is measured because it is in the list. Method: what the benchmark does with each name and shape. */
  @Test
  void everyCodecCanBeMeasured() {
    assertEquals(Compressors.all().stream().map(Compressor::name).toList(), CodecTable.codecs());
    for (String codec : CodecTable.codecs()) {
      for (DType dtype : new DType[] {DType.BF16, DType.F16, DType.F32}) {
        double fraction =
            CodecBenchmark.storedFraction(CodecBenchmark.codec(codec),
                CodecBenchmark.shape(KvHalf.KEYS, dtype));
        assertTrue(fraction > 0.02 && fraction <= 1.001, codec + " of " + dtype + ": " + fraction);
      }
    }
  }
}
