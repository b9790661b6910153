package io.kvcache.bench.serving;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.kvcache.DType;
import io.kvcache.KvCache;
import io.kvcache.KvLayout;
import io.kvcache.spi.Tier;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TwoTiersTest {
  private static final KvLayout LAYOUT = KvLayout.uniform(2, 1, 16, DType.BF16).withChunkTokens(16);

  @TempDir
  private Path directory;

  private KvCache open(List<Tier> opened, RuntimeException failure) throws IOException {
    return TwoTiers.open(1 << 20, directory, 16 << 20, (dram, ssd) -> {
      opened.add(dram);
      opened.add(ssd);
      if (failure != null) {
        throw failure;
      }
      return KvCache.builder(LAYOUT).tier(dram).tier(ssd).open();
    });
  }

  @Test
  void theCacheOwnsItsTiers() throws IOException {
    List<Tier> opened = new ArrayList<>();
    try (KvCache cache = open(opened, null)) {
      assertEquals(List.of("dram", "ssd"), cache.stats().tiers().stream().map(tier -> tier.name()).toList());
    }
    assertThrows(IllegalStateException.class, opened.getFirst()::flush, "closed with it");
  }

  @Test
  void tiersOfNoCacheAreClosed() throws IOException {
    List<Tier> opened = new ArrayList<>();
    RuntimeException failure = new IllegalArgumentException("does not fit together");
    assertSame(failure, assertThrows(RuntimeException.class, () -> open(opened, failure)));
    for (Tier tier : opened) {
      assertThrows(IllegalStateException.class, tier::flush, tier.name());
    }
    open(opened, null).close(); // the directory is not locked either
  }
}
