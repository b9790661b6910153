package io.kvcache.bench.jmh;

import io.kvcache.Encoding;
import io.kvcache.spi.Codings;
import io.kvcache.spi.VariantClass;
import java.util.List;

/** Raw, int8 (codec 8) and int4 (codec 4), and dropping, by their nominal sizes. */
record NominalCodings(long rawChunkBytes) implements Codings {
  private static final int BITS_OF_RAW = 16;

  private static int bits(Encoding encoding) {
    return encoding.codec() == 0 ? BITS_OF_RAW : encoding.codec();
  }

  VariantClass variantClass(Encoding encoding) {
    return exact(encoding) ? VariantClass.FULL : VariantClass.SERVING;
  }

  @Override
  public List<Integer> codecs() {
    return List.of(0, 4, 8);
  }

  @Override
  public String name(Encoding encoding) {
    return encoding.name(encoding.codec() == 0 ? "raw" : "int" + encoding.codec());
  }

  @Override
  public boolean exact(Encoding encoding) {
    return encoding.equals(Encoding.RAW);
  }

  @Override
  public boolean supports(Encoding encoding) {
    return codecs().contains(encoding.codec());
  }

  @Override
  public double nominalQuality(Encoding encoding) {
    return encoding.retainedFraction() * (1 - 0.2 / bits(encoding));
  }

  @Override
  public long expectedChunkBytes(Encoding encoding) {
    return (long) (rawChunkBytes * encoding.retainedFraction() * bits(encoding) / BITS_OF_RAW);
  }

  @Override
  public boolean reencodable(Encoding from, Encoding to) {
    return exact(from) || from.equals(to) || (from.keepsAs(to) && bits(to) < bits(from));
  }
}
