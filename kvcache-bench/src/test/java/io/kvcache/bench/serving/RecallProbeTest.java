package io.kvcache.bench.serving;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.AcquireOptions;
import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.Explanation;
import io.kvcache.KvCache;
import io.kvcache.KvControl.Profiling;
import io.kvcache.KvReservation.Status;
import io.kvcache.Tokens;
import io.kvcache.bench.model.KvState;
import io.kvcache.bench.serving.CachedModel.Answer;
import io.kvcache.bench.task.DocumentGenerator;
import io.kvcache.bench.task.DocumentKind;
import io.kvcache.bench.task.DocumentSize;
import io.kvcache.bench.task.RecallDocument;
import io.kvcache.compress.Compressors;
import io.kvcache.placement.LruPlacement;
import io.kvcache.placement.UtilityPlacement;
import io.kvcache.spi.CacheRuntime;
import io.kvcache.tiers.DramTier;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The bench's engine with a cache that drops tokens, and its judgement of what that does. */
class RecallProbeTest {
  private static final RecallDocument DOCUMENT = new DocumentGenerator(new DocumentSize(200, 260))
      .generate(DocumentKind.NUMBERS, DocumentGenerator.FIRST_HELD_OUT_SEED);
  private static final Encoding GENTLE = Encoding.of(Compressors.int8().codec());
  private static final Encoding HARSH = Encoding.RAW.keeping(DropMethod.STREAMING_LLM, 10);

  private static CachedModel engine;
  private static Prefilled prefilled;

  @BeforeAll
  static void read() throws IOException {
    engine = new CachedModel(Weights.of(null), "test");
    prefilled = engine.prefill(DOCUMENT, 2);
  }

  @AfterAll
  static void close() {
    prefilled.close();
    engine.close();
  }

  @Test
  void questionsAreEitherForTrainingOrForReporting() {
    assertEquals(2, prefilled.training().size());
    assertEquals(DOCUMENT.questions().size() - 2, prefilled.unseen().size());
    assertTrue(prefilled.training().stream().noneMatch(prefilled.unseen()::contains));
  }

  @Test
  void tokensDroppedArePassedOverAndTheRestIsComputed() {
    Queue<Runnable> moves = new ConcurrentLinkedQueue<>();
    Encoding most = Encoding.RAW.keeping(DropMethod.EXPECTED_ATTENTION, 99);
    try (KvCache cache = KvCache.builder(engine.layout()).tier(DramTier.open(16 << 20))
        .runtime(runtime(moves)).policy(LruPlacement.withEncodings(most)).open()) {
      assertEquals(Status.RESERVED, engine.store(cache, prefilled, Duration.ofMillis(5)));
      while (!moves.isEmpty()) {
        moves.remove().run();
      }
      int[] document = DOCUMENT.tokens();
      try (KvState state = engine.newState(document)) {
        AcquireOptions any = AcquireOptions.any().acceptingPruned();
        assertEquals(engine.storableTokens(document), engine.load(cache, any, document, state));
        assertEquals(engine.storableTokens(document), state.length());
        assertTrue(state.checksum() != prefilled.state().checksum());
      }
      Answer exact = engine.answer(null, null, document, DOCUMENT.questions().getFirst());
      Answer pruned = engine.answer(cache, AcquireOptions.any().acceptingPruned(), document,
          DOCUMENT.questions().getFirst());
      assertEquals(engine.storableTokens(document), pruned.loadedTokens());
      assertArrayEquals(exact.tokens(), pruned.tokens(), "one token of a hundred is missing");
    }
  }

  /** Moves wait until they are told to run. */
  private static CacheRuntime runtime(Queue<Runnable> moves) {
    CacheRuntime system = CacheRuntime.system();
    return new CacheRuntime(system.nanoTime(), system.wallClock(), system.random(), system.io(), moves::add,
        system.events(), system.onClose());
  }

  @Test
  void qualityFallsWithWhatIsDroppedAndIsMeasuredOnce() {
    RecallProbe probe = new RecallProbe(engine, List.of(prefilled));
    for (int round = 0; round < 2; round++) {
      try (KvCache cache = KvCache.builder(engine.layout()).tier(DramTier.open(16 << 20))
          .compressors(Compressors.int8()).segmentChunks(64).probe(probe, Duration.ofMinutes(1))
          .policy(UtilityPlacement.builder().alpha(1000).insert(UtilityPlacement.Insert.BEST_QUALITY)
              .candidates(List.of(GENTLE, HARSH)).build())
          .open()) {
        assertEquals(Status.RESERVED, engine.store(cache, prefilled, Duration.ofSeconds(1)));
        assertEquals(new Profiling(1, 0), cache.control().profile(Duration.ofMinutes(1)));
        assertEquals(2, probe.measurements(), "round " + round);
        Explanation why = cache.control().explain(engine.namespace(), Tokens.of(DOCUMENT.tokens()));
        assertTrue(why.segments().getFirst().profiled(), why::toString);
        double gentle = quality(why, "int8");
        double harsh = quality(why, "streaming-10");
        assertTrue(gentle > 0.9 && harsh < 0.9, why::toString);
      }
    }
  }

  private static double quality(Explanation why, String encoding) {
    return why.segments().getFirst().options().stream().filter(option -> option.encoding().equals(encoding))
        .findFirst().orElseThrow().quality();
  }
}
