package io.kvcache.testkit;

import io.kvcache.Encoding;
import io.kvcache.spi.Codings;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Codecs that exist in name only, for tests of policies. Dropping tokens is always possible. */
public final class FakeCodings implements Codings {
  private final long chunkBytes;
  private final Map<Integer, FakeCodec> codecs;

  /** Bytes of a chunk, and the quality it has. */
  private record FakeCodec(long chunkBytes, double quality) {}

  private FakeCodings(long chunkBytes, Map<Integer, FakeCodec> codecs) {
    this.chunkBytes = chunkBytes;
    this.codecs = codecs;
  }

  /** Raw chunks of so many bytes, and no codec besides. */
  public static FakeCodings raw(long chunkBytes) {
    return new FakeCodings(chunkBytes, Map.of(0, new FakeCodec(chunkBytes, 1)));
  }

  /** With a codec; it is exact when its quality is 1. */
  public FakeCodings withCodec(int number, long bytesOfChunk, double quality) {
    Map<Integer, FakeCodec> all = new TreeMap<>(codecs);
    all.put(number, new FakeCodec(bytesOfChunk, quality));
    return new FakeCodings(chunkBytes, all);
  }

  @Override
  public List<Integer> codecs() {
    return List.copyOf(new TreeMap<>(codecs).keySet());
  }

  @Override
  public String name(Encoding encoding) {
    return encoding.name("codec-" + encoding.codec());
  }

  @Override
  public boolean exact(Encoding encoding) {
    return !encoding.dropsTokens() && codecs.get(encoding.codec()).quality == 1;
  }

  @Override
  public boolean supports(Encoding encoding) {
    return codecs.containsKey(encoding.codec());
  }

  @Override
  public double nominalQuality(Encoding encoding) {
    return codecs.get(encoding.codec()).quality * encoding.retainedFraction();
  }

  @Override
  public long expectedChunkBytes(Encoding encoding) {
    return Math.max(1, (long) (codecs.get(encoding.codec()).chunkBytes * encoding.retainedFraction()));
  }

  @Override
  public boolean reencodable(Encoding from, Encoding to) {
    boolean sameRows = from.dropping() == to.dropping() && from.retainedPercent() == to.retainedPercent();
    double now = codecs.get(from.codec()).quality;
    double then = codecs.get(to.codec()).quality;
    return exact(from) || from.equals(to) || (sameRows && (now == 1 || then < now));
  }
}
