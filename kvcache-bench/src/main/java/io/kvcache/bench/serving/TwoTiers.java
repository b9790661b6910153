package io.kvcache.bench.serving;

import io.kvcache.KvCache;
import io.kvcache.spi.Tier;
import io.kvcache.tiers.DramTier;
import io.kvcache.tiers.SsdTier;
import java.io.IOException;
import java.nio.file.Path;
import java.util.function.BiFunction;

/** Memory and disk below one cache. */
public final class TwoTiers {
  private TwoTiers() {}

  /**
   * Opens both tiers, and on them what {@code cache} opens; where that fails they are closed again.
   *
   * @param directory of the disk tier
   * @param cache given the memory and the disk tier, opens the cache that owns them from then on
   */
  public static KvCache open(long dramBytes, Path directory, long ssdBytes,
      BiFunction<Tier, Tier, KvCache> cache)
      throws IOException {
    Tier dram = DramTier.open(dramBytes);
    try {
      Tier ssd = SsdTier.builder(directory, ssdBytes).open();
      try {
        return cache.apply(dram, ssd);
      } catch (RuntimeException e) {
        close(ssd, e);
        throw e;
      }
    } catch (IOException | RuntimeException e) {
      close(dram, e);
      throw e;
    }
  }

  private static void close(Tier tier, Exception why) {
    try {
      tier.close();
    } catch (IOException e) {
      why.addSuppressed(e);
    }
  }
}
