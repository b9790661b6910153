package io.kvcache.placement;

import io.kvcache.spi.DelayLine;
import java.util.ArrayList;
import java.util.List;

/**
 * What loading, storing and computing take, as the cache last said. What it has not said yet is taken from what is
 * nearest: of an encoding from another by the same codec, else from raw in that tier, else as if each tier were ten
 * times slower than the one above it.
 */
final class Delays {
  private static final double FASTEST_UNKNOWN = 1e-10;
  private static final double STEP_UNKNOWN = 10;

  private final EncodingTable table;
  private final int chunkTokens;
  /** What was said, by tier and number of the encoding. */
  private final List<List<DelayLine>> said = new ArrayList<>();
  /** What counts, by tier and number of the encoding. */
  private final double[][] slopes;
  private final double[][] fixed;
  private final DelayLine[] stores;
  private DelayLine recompute;
  private double recomputePerChunk;

  Delays(EncodingTable table, int tiers, int chunkTokens) {
    this.table = table;
    this.chunkTokens = chunkTokens;
    this.slopes = new double[tiers][];
    this.fixed = new double[tiers][];
    this.stores = new DelayLine[tiers];
    for (int tier = 0; tier < tiers; tier++) {
      said.add(new ArrayList<>());
    }
    fill();
  }

  void load(int tier, int encoding, DelayLine line) {
    List<DelayLine> known = said.get(tier);
    while (known.size() <= encoding) {
      known.add(null);
    }
    known.set(encoding, line);
    fill();
  }

  void store(int tier, DelayLine line) {
    stores[tier] = line;
  }

  void recompute(DelayLine line) {
    recompute = line;
    fill();
  }

  boolean recomputeKnown() {
    return recompute != null;
  }

  /** Seconds to load a byte from a tier, decoding it included. */
  double slope(int tier, int encoding) {
    if (encoding >= slopes[tier].length) {
      fill();
    }
    return slopes[tier][encoding];
  }

  /** Seconds a request takes on top to load from a tier. */
  double fixed(int tier, int encoding) {
    if (encoding >= fixed[tier].length) {
      fill();
    }
    return fixed[tier][encoding];
  }

  /** Seconds to store so many bytes; 0 where nobody said. */
  double storeSeconds(int tier, double bytes) {
    return stores[tier] == null ? 0 : stores[tier].seconds(bytes);
  }

  /** Seconds to compute a chunk. What a prefill costs on top is paid anyway: the last token is always computed. */
  double recomputePerChunk() {
    return recomputePerChunk;
  }

  private void fill() {
    double slowest = 0;
    for (int tier = 0; tier < slopes.length; tier++) {
      slopes[tier] = new double[table.size()];
      fixed[tier] = new double[table.size()];
      for (int encoding = 0; encoding < table.size(); encoding++) {
        DelayLine line = nearest(tier, encoding);
        slopes[tier][encoding] = line.secondsPerUnit();
        fixed[tier][encoding] = line.fixedSeconds();
      }
      slowest = Math.max(slowest, slopes[tier][0]);
    }
    recomputePerChunk = recompute != null
        ? recompute.secondsPerUnit() * chunkTokens
        : slowest * STEP_UNKNOWN * table.chunkBytes(0);
  }

  private DelayLine nearest(int tier, int encoding) {
    List<DelayLine> known = said.get(tier);
    if (encoding < known.size() && known.get(encoding) != null) {
      return known.get(encoding);
    }
    DelayLine any = null;
    for (int other = 0; other < known.size(); other++) {
      if (known.get(other) != null) {
        if (table.encoding(other).codec() == table.encoding(encoding).codec()) {
          return known.get(other);
        }
        any = any == null ? known.get(other) : any;
      }
    }
    return any != null ? any : new DelayLine(FASTEST_UNKNOWN * Math.pow(STEP_UNKNOWN, tier), 0);
  }
}
