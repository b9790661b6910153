package io.kvcache.bench.placement;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.AcquireOptions;
import io.kvcache.KvCache;
import io.kvcache.KvLease;
import io.kvcache.KvReservation.Status;
import io.kvcache.Tokens;
import io.kvcache.bench.Machine;
import io.kvcache.bench.serving.CachedModel;
import io.kvcache.bench.serving.Prefilled;
import io.kvcache.bench.serving.Weights;
import io.kvcache.bench.serving.WorkingSet;
import io.kvcache.bench.task.DocumentGenerator;
import io.kvcache.bench.task.DocumentKind;
import io.kvcache.bench.task.DocumentSize;
import io.kvcache.bench.task.RecallDocument;
import io.kvcache.placement.LruPlacement;
import io.kvcache.tiers.DramTier;
import io.kvcache.tiers.SsdTier;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** How large tiers are for shares of what there is. */
class SettingTest {
  private static final long MIB = 1 << 20;

  @Test
  void sharesAreOfAllDocuments() {
    Setting setting = Setting.ofShares(new WorkingSet(1000 * MIB, 2 * MIB), 0.08, 0.15, Throttle.OFF);
    assertEquals(80 * MIB, setting.dramBytes(), 1);
    assertEquals(154 * MIB, setting.ssdBytes(), 1, "4 MiB are for the index");
    assertEquals(new Throttle(1, 1), setting.with(new Throttle(1, 1)).throttle());
  }

  @Test
  void noTierIsSmallerThanATierCanBe() {
    Setting setting = Setting.ofShares(new WorkingSet(1000, 100), 0.08, 0.15, Throttle.OFF);
    assertEquals(DramTier.MIN_CAPACITY_BYTES, setting.dramBytes());
    assertEquals(SsdTier.MIN_CAPACITY_BYTES, setting.ssdBytes());
  }

  /** Goal: a policy is never judged by a tier that cannot take in what it stores. Method: one document of each kind. */
  @ParameterizedTest
  @ValueSource(ints = {32, CachedModel.CHUNK_TOKENS, 256})
  void memoryTakesInTheLargestDocumentWhateverItsShare(int chunkTokens) throws IOException {
    try (CachedModel engine = new CachedModel(Weights.of(null), "test", chunkTokens)) {
      for (DocumentKind kind : DocumentKind.values()) {
        RecallDocument document = new DocumentGenerator(DocumentSize.STANDARD).generate(kind,
            DocumentGenerator.FIRST_HELD_OUT_SEED);
        WorkingSet kv = WorkingSet.of(engine, List.of(document));
        Setting setting = Setting.ofShares(kv, 1e-6, 1e-6, Throttle.OFF);
        try (Prefilled prefilled = engine.prefill(document, 0);
            KvCache cache = KvCache.builder(engine.layout()).tier(DramTier.open(setting.dramBytes()))
                .policy(LruPlacement.raw()).open()) {
          assertEquals(Status.RESERVED, engine.store(cache, prefilled, Duration.ZERO), kind.name());
          assertEquals(0, cache.stats().rejectedReservations());
          try (KvLease lease =
              cache.acquire(engine.namespace(), Tokens.of(document.tokens()), AcquireOptions.exact())) {
            assertEquals(engine.storableTokens(document.tokens()), lease.tokens(), kind.name());
          }
        }
      }
    }
  }

  /** Goal: a tier that cannot be opened is refused before anything was computed. */
  @Test
  void moreThanThisMachineHasIsRefusedWithItsLimit() {
    long memory = Machine.memoryBytes();
    String message = assertThrows(IllegalArgumentException.class,
        () -> Setting.ofShares(new WorkingSet(memory, MIB), 1.5, 0.1, Throttle.OFF)).getMessage();
    assertTrue(message.contains(String.valueOf(memory)) && message.contains("DRAM"), message);
    assertThrows(IllegalArgumentException.class, () -> new Setting(MIB, MIB, Throttle.OFF),
        "too small an SSD");
  }

  @Test
  void capacitiesAreReadFromTheCommandLine() {
    assertEquals(new Capacity("0.08/10", 0.08, 10), Capacity.parse("0.08/10"));
    for (String bad : new String[] {"", "0.1", "0.1/", "/0.1", "0.1/0.2/0.3", "0.1/0.2/", "0/1", "1/0",
      "-1/1",
      "1/10.1", "NaN/1", "1/Infinity", "a/b"}) {
      String message =
          assertThrows(IllegalArgumentException.class, () -> Capacity.parse(bad), bad).getMessage();
      assertTrue(message.contains("'" + bad + "'") && message.contains("10"), message);
    }
  }
}
