package io.kvcache.bench.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.AcquireOptions;
import io.kvcache.DType;
import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.KvCache;
import io.kvcache.KvLayout;
import io.kvcache.KvLease;
import io.kvcache.KvLease.KvKept;
import io.kvcache.KvReservation;
import io.kvcache.Namespace;
import io.kvcache.StoreOptions;
import io.kvcache.TokenScores;
import io.kvcache.Tokens;
import io.kvcache.placement.LruPlacement;
import io.kvcache.spi.CacheRuntime;
import io.kvcache.tiers.DramTier;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Goal: what goes on behind a prefix of which the cache dropped tokens is what a model computes that never saw them.
 * Method: store through the cache, drop, load, append; the plain twin computes everything with the mask that the lease
 * names. Bit for bit.
 */
class PrunedServingTest {
  private static final ModelConfig CONFIG = Models.ODD;
  private static final int CHUNK_TOKENS = 32;
  private static final int PREFIX = 4 * CHUNK_TOKENS;
  private static final KvLayout LAYOUT =
      KvLayout.uniform(CONFIG.layers(), CONFIG.kvHeads(), CONFIG.headDim(), DType.BF16)
          .withChunkTokens(CHUNK_TOKENS);
  private static final Namespace NAMESPACE = Namespace.of("odd", LAYOUT);

  private final ModelWeights weights = ModelWeights.random(CONFIG, 7);
  private final int[] prompt = Models.tokens(CONFIG, PREFIX, 5);
  private final int[] suffix = Models.tokens(CONFIG, 9, 6);

  @ParameterizedTest
  @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "NONE")
  void appendingEqualsMaskedRecomputation(DropMethod method) {
    requireMaskedRecomputation(Encoding.RAW.keeping(method, 40), AcquireOptions.any().acceptingPruned());
    requireMaskedRecomputation(Encoding.RAW.keepingUniformly(method, 40),
        AcquireOptions.any().acceptingUniformlyPruned());
  }

  private void requireMaskedRecomputation(Encoding encoding, AcquireOptions options) {
    CacheRuntime here =
        new CacheRuntime(System::nanoTime, InstantSource.system(), new Random(1), Runnable::run,
            Runnable::run, Runnable::run, () -> {});
    try (Transformer model = new Transformer(weights, 1);
        KvState exact = model.newState(300);
        KvState pruned = model.newState(300);
        KvCache cache = KvCache.builder(LAYOUT).tier(DramTier.open(1 << 20)).runtime(here)
            .policy(LruPlacement.withEncodings(encoding)).open()) {
      store(cache, exact, scores(model, exact));
      boolean[][][] kept = new boolean[CONFIG.layers()][CONFIG.kvHeads()][PREFIX];
      try (KvLease lease =
          cache.acquire(NAMESPACE, Tokens.of(prompt), options)) {
        assertEquals(PREFIX, lease.tokens());
        assertEquals(1, lease.runs().size());
        assertEquals(encoding.name("raw"), lease.runs().getFirst().codec());
        append(lease, pruned, kept);
      }
      ScalarTwin twin = new ScalarTwin(weights, true,
          (layer, head, query, key) -> query < PREFIX || key >= PREFIX || kept[layer][head][key]);
      twin.run(prompt);
      float[][] expected = twin.run(suffix);
      float[][] computed = model.verify(pruned, suffix);
      for (int token = 0; token < suffix.length; token++) {
        assertArrayEquals(expected[token], computed[token], 0f, encoding + ", token " + token);
      }
      assertFalse(Arrays.equals(expected[0], model.prefill(exact, suffix[0])), "dropping changed nothing");
    }
  }

  private TokenScores scores(Transformer model, KvState state) {
    AttentionScores window = AttentionScores.ofQueriesFrom(PREFIX - 16);
    AttentionScores all = AttentionScores.cumulative();
    PromptQueries queries = new PromptQueries();
    model.prefill(state, new PrefillNotes(List.of(window, all), queries), prompt);
    return TokenScores.none().snapKv(window.mass(), 16).h2o(all.mass())
        .with(DropMethod.EXPECTED_ATTENTION, ExpectedAttention.scores(state, queries))
        .kvZip(Repetition.attention(model, state, prompt));
  }

  private void store(KvCache cache, KvState state, TokenScores scores) {
    long bytes = (long) PREFIX * state.rowBytes();
    try (KvReservation space =
        cache.reserve(NAMESPACE, Tokens.of(prompt), StoreOptions.defaults().scores(scores))) {
      for (int layer = 0; layer < CONFIG.layers(); layer++) {
        space.write(layer, state.keys(layer).asSlice(0, bytes), state.values(layer).asSlice(0, bytes));
      }
      assertTrue(space.commit());
    }
  }

  private static void append(KvLease lease, KvState state, boolean[][][] mask) {
    List<PrunedLayer> layers = new ArrayList<>();
    for (int layer = 0; layer < CONFIG.layers(); layer++) {
      KvKept kept = lease.kept(lease.runs().getFirst(), layer);
      assertEquals(PREFIX * 40 / 100, kept.kept());
      layers.add(new PrunedLayer(kept.positions(), kept.keys(), kept.values()));
      for (int head = 0; head < CONFIG.kvHeads(); head++) {
        for (int position : kept.positions()[head]) {
          mask[layer][head][position] = true;
        }
      }
    }
    state.appendPruned(PREFIX, layers);
  }
}
