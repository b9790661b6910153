package io.kvcache.bench.placement;

import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.bench.EncodingNames;
import io.kvcache.compress.Compressors;
import io.kvcache.placement.LruPlacement;
import io.kvcache.placement.UtilityPlacement;
import io.kvcache.spi.PlacementPolicy;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * A policy to be compared.
 *
 * @param name for people and programs
 * @param alpha seconds per unit of quality, where it weighs them
 * @param placement makes it; empty for no cache at all
 */
public record Policy(String name, Optional<Double> alpha,
    Optional<Supplier<PlacementPolicy>> placement) {
  /** More than anybody waits for an answer, in seconds. */
  public static final double MOST_ALPHA = 1e6;

  /**
   * Each of these also rounded to 4 bits; and every token, in 8 and 4 bits. The mildest are for documents that lose
   * answers already at 70 %; StreamingLLM is for those whose start and end say it all, at any rate.
   */
  private static final int[][] PERCENTS = {
    {DropMethod.STREAMING_LLM.number(), 20, 10},
    {DropMethod.KEYDIFF.number(), 90, 80, 70, 50, 30},
    {DropMethod.H2O.number(), 90, 80, 70, 50, 30, 10},
    {DropMethod.EXPECTED_ATTENTION.number(), 90, 80, 70, 50, 30, 20}};

  /** Everything is computed, always. */
  public static Policy noCache() {
    return new Policy("no cache", Optional.empty(), Optional.empty());
  }

  /** Least recently used, in one encoding for all. */
  public static Policy lru(Encoding encoding) {
    return new Policy("LRU " + EncodingNames.nameOf(encoding), Optional.empty(),
        Optional.of(() -> LruPlacement.withEncodings(encoding, encoding)));
  }

  /** As {@link #lru(Encoding)}, by the encoding's name. */
  public static Policy lru(String encoding) {
    return lru(EncodingNames.parse(encoding));
  }

  /** By utility. */
  public static Policy utility(double alpha) {
    return new Policy(String.format(Locale.ROOT, "utility, alpha %.3g", alpha), Optional.of(alpha),
        Optional.of(() -> UtilityPlacement.builder().alpha(alpha).insert(UtilityPlacement.Insert.BEST_QUALITY)
            .lossless(Compressors.lz4().codec()).candidates(candidates()).build()));
  }

  /** What utility chooses among, besides lossless encodings. */
  static List<Encoding> candidates() {
    Encoding int4 = Encoding.of(Compressors.int4().codec());
    List<Encoding> candidates = new ArrayList<>(List.of(Encoding.of(Compressors.int8().codec()), int4));
    for (int[] row : PERCENTS) {
      for (int i = 1; i < row.length; i++) {
        candidates.add(int4.keeping(DropMethod.numbered(row[0]), row[i]));
      }
    }
    return candidates;
  }

  /** Whether it rests on measured qualities. */
  boolean profiles() {
    return alpha.isPresent();
  }
}
