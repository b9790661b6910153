package io.kvcache.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.AcquireOptions;
import io.kvcache.CacheEvent.Reencoded;
import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.Fidelity;
import io.kvcache.KvCache;
import io.kvcache.KvLease;
import io.kvcache.KvLease.KvKept;
import io.kvcache.KvLease.Run;
import io.kvcache.KvReservation;
import io.kvcache.StoreOptions;
import io.kvcache.TokenScores;
import io.kvcache.placement.LruPlacement;
import io.kvcache.testkit.MemoryTier;
import io.kvcache.testkit.TestPrompt;
import io.kvcache.testkit.TruncatingCompressor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Chunks of which tokens were dropped. {@link TestPrompt#find} checks every row of those that are kept. */
class PrunedTest extends EngineTest {
  private static final Encoding HALF = Encoding.RAW.keeping(DropMethod.KNORM, 50);
  private static final Encoding RECENT = Encoding.RAW.keeping(DropMethod.STREAMING_LLM, 50);
  private static final AcquireOptions PRUNED = AcquireOptions.any().acceptingPruned();

  private KvCache inMemory(Encoding encoding) {
    return openStill(LruPlacement.withEncodings(encoding), tier("dram", MEMORY, 20));
  }

  @Test
  void tokensAreDroppedRightAfterTheStore() {
    KvCache cache = inMemory(HALF);
    prompt(1, 3).store(cache);
    assertEquals(3, prompt(1, 3).find(cache), "exact until the background gets to it");
    long whole = cache.stats().tiers().getFirst().usedBytes();
    background.runAll();
    assertEquals(0, prompt(1, 3).find(cache));
    assertEquals(0, prompt(1, 3).find(cache, AcquireOptions.any()),
        "who does not ask for it never gets less");
    assertEquals(3, prompt(1, 3).find(cache, PRUNED));
    assertEquals(List.of(new Reencoded("dram", "knorm-50", 3)), events(Reencoded.class));
    assertTrue(cache.stats().tiers().getFirst().usedBytes() < whole);
    try (KvLease lease = prompt(1, 3).acquire(cache, PRUNED)) {
      Run run = lease.runs().getFirst();
      assertEquals("knorm-50", run.codec());
      assertEquals(new Fidelity.Pruned(0.5, Fidelity.EXACT), lease.fidelity());
      for (int layer = 0; layer < LAYOUT.layers().size(); layer++) {
        KvKept kept = lease.kept(run, layer);
        assertEquals(3 * CHUNK_TOKENS, kept.tokens());
        assertEquals(3 * CHUNK_TOKENS / 2, kept.kept());
      }
      assertThrows(IllegalArgumentException.class, () -> lease.view(run, 0));
    }
  }

  @Test
  void theFirstAndTheLastTokensStay() {
    KvCache cache = inMemory(RECENT);
    prompt(1, 2).store(cache);
    background.runAll();
    try (KvLease lease = prompt(1, 2).acquire(cache, PRUNED)) {
      int[] positions = lease.kept(lease.runs().getFirst(), 0).positions()[1];
      int[] expected = new int[CHUNK_TOKENS];
      for (int row = 0; row < expected.length; row++) {
        expected[row] = row < 4 ? row : CHUNK_TOKENS + row;
      }
      assertEquals(list(expected), list(positions));
    }
  }

  private static List<Integer> list(int[] positions) {
    return Arrays.stream(positions).boxed().toList();
  }

  /** Rows of dense runs are where they belong, and what is between them is left alone. */
  @Test
  void denseRunsGoOnBehindPrunedOnes() {
    KvCache cache = inMemory(HALF);
    prompt(1, 2).store(cache);
    background.runAll();
    TestPrompt longer = prompt(1, 2).then(2, 3);
    longer.store(cache);
    assertEquals(5, longer.find(cache, PRUNED));
    try (KvLease lease = longer.acquire(cache, PRUNED); Arena arena = Arena.ofConfined()) {
      assertEquals(List.of("knorm-50", "raw"), lease.runs().stream().map(Run::codec).toList());
      MemorySegment keys = arena.allocate(1L << 16).fill((byte) 0x5A);
      lease.read(0, keys, arena.allocate(1L << 16));
      long prunedBytes = 2L * CHUNK_TOKENS * LAYOUT.layer(0).keyRowBytes();
      for (long at = 0; at < prunedBytes; at++) {
        assertEquals(0x5A, keys.get(java.lang.foreign.ValueLayout.JAVA_BYTE, at));
      }
      assertThrows(IllegalArgumentException.class, () -> lease.kept(lease.runs().getLast(), 0));
    }
  }

  /** What was pruned moves as it is; rows that are exact can be rounded later. */
  @Test
  void prunedChunksAreDemotedAndRounded() throws Exception {
    Encoding rounded = Encoding.of(TruncatingCompressor.CODEC).keeping(DropMethod.KNORM, 50);
    MemoryTier ssd = tier("ssd", DISK, 20);
    KvCache cache =
        openStill(LruPlacement.withEncodings(HALF, rounded), tier("dram", MEMORY, 20), ssd);
    prompt(1, 3).store(cache);
    background.runAll();
    cache.flush();
    close(ssd);
    KvCache again = openStill(LruPlacement.withEncodings(HALF, rounded), tier("dram", MEMORY, 20),
        checked(ssd.reopen()));
    assertEquals(3, prompt(1, 3).find(again, PRUNED));
    try (KvLease lease = prompt(1, 3).acquire(again, PRUNED)) {
      assertEquals(List.of("knorm-50+" + new TruncatingCompressor().name()),
          lease.runs().stream().map(Run::codec).toList());
    }
  }

  @Test
  void scoresChooseTheTokensEvenAfterARestart() throws Exception {
    Encoding snap = Encoding.RAW.keeping(DropMethod.SNAPKV, 25);
    LruPlacement policy = LruPlacement.withEncodings(Encoding.RAW, snap);
    MemoryTier ssd = tier("ssd", DISK, 20);
    KvCache cache = openStill(new Wanting(policy, snap), tier("dram", MEMORY, 20), ssd);
    TestPrompt prompt = prompt(1, 2);
    float[][][] scores = new float[3][][];
    for (int layer = 0; layer < 3; layer++) {
      scores[layer] = new float[LAYOUT.layer(layer).kvHeads()][prompt.length()];
      for (float[] head : scores[layer]) {
        head[3] = 3;
        head[5] = 2;
        head[17] = 1;
        head[20] = 1;
        head[21] = 5;
        head[22] = 5;
        head[29] = 7;
        head[30] = 8;
      }
    }
    store(cache, prompt, TokenScores.none().with(DropMethod.SNAPKV, scores));
    cache.flush();
    try (KvLease lease = prompt.acquire(cache, PRUNED)) {
      assertTrue(lease.fidelity().exact(), "what is in memory is");
    }
    close(ssd);
    MemoryTier reopened = checked(ssd.reopen());
    KvCache again = openStill(new Wanting(policy(snap), snap), tier("dram", MEMORY, 20), reopened);
    try (KvLease lease = prompt.acquire(again, PRUNED)) {
      KvKept kept = lease.kept(lease.runs().getFirst(), 2);
      assertEquals(List.of(3, 5, 17, 20, 21, 22, 29, 30), list(kept.positions()[0]));
    }
    assertEquals(2, prompt.find(again, PRUNED));
  }

  /** Goal: what an engine's mask drops is dropped, and what it keeps is kept. Method: masks of fewer than the share. */
  @ParameterizedTest
  @EnumSource(names = {"SNAPKV", "H2O", "EXPECTED_ATTENTION", "KVZIP"})
  void aMaskDecidesAlone(DropMethod method) throws Exception {
    Encoding half = Encoding.RAW.keeping(method, 50);
    KvCache cache = inMemory(half);
    TestPrompt prompt = prompt(1, 3);
    int[][] wanted = {{1, 2, 15, 40, 41}, {0, 8, 9, 33, 47}};
    float[][][] mask = new float[3][][];
    for (int layer = 0; layer < 3; layer++) {
      mask[layer] = new float[LAYOUT.layer(layer).kvHeads()][prompt.length()];
      for (int head = 0; head < mask[layer].length; head++) {
        Arrays.fill(mask[layer][head], Float.NEGATIVE_INFINITY);
        for (int token : wanted[(layer + head) % 2]) {
          mask[layer][head][token] = Float.POSITIVE_INFINITY;
        }
      }
    }
    store(cache, prompt, TokenScores.none().with(method, mask));
    background.runAll();
    assertEquals(3, prompt.find(cache, PRUNED));
    try (KvLease lease = prompt.acquire(cache, PRUNED)) {
      for (int layer = 0; layer < 3; layer++) {
        KvKept kept = lease.kept(lease.runs().getFirst(), layer);
        for (int head = 0; head < kept.positions().length; head++) {
          assertEquals(list(wanted[(layer + head) % 2]), list(kept.positions()[head]), "layer " + layer);
        }
      }
    }
  }

  /** Goal: a mask may drop everything; the tokens are still covered. */
  @Test
  void aMaskMayKeepNothing() throws Exception {
    KvCache cache = inMemory(Encoding.RAW.keeping(DropMethod.KVZIP, 90));
    TestPrompt prompt = prompt(1, 2);
    float[][][] mask = new float[3][][];
    for (int layer = 0; layer < 3; layer++) {
      mask[layer] = new float[LAYOUT.layer(layer).kvHeads()][prompt.length()];
      for (float[] head : mask[layer]) {
        Arrays.fill(head, Float.NEGATIVE_INFINITY);
      }
    }
    store(cache, prompt, TokenScores.none().with(DropMethod.KVZIP, mask));
    background.runAll();
    assertEquals(2, prompt.find(cache, PRUNED));
    try (KvLease lease = prompt.acquire(cache, PRUNED)) {
      KvKept kept = lease.kept(lease.runs().getFirst(), 0);
      assertEquals(0, kept.kept());
      assertEquals(0, kept.keys().byteSize() + kept.values().byteSize());
      assertEquals(2 * CHUNK_TOKENS, kept.tokens());
    }
  }

  private static void store(KvCache cache, TestPrompt prompt, TokenScores scores) throws Exception {
    try (KvReservation space =
        cache.reserve(NAMESPACE, prompt.tokens(), StoreOptions.defaults().scores(scores))) {
      prompt.write(space);
      assertTrue(space.commit());
    }
  }

  private static LruPlacement policy(Encoding onDisk) {
    return LruPlacement.withEncodings(Encoding.RAW, onDisk);
  }

  @Test
  void malformedScoresAreRefusedWithTheirShape() {
    KvCache cache = inMemory(Encoding.RAW);
    TokenScores few = TokenScores.none().with(DropMethod.H2O, new float[3][2][31]);
    IllegalArgumentException refused = assertThrows(IllegalArgumentException.class,
        () -> cache.reserve(NAMESPACE, prompt(1, 2).tokens(), StoreOptions.defaults().scores(few)));
    assertEquals(
        "scores of H2O are for [3, 2, 31] layers, heads of the first and tokens; the prompt has [3, 2, 32]",
        refused.getMessage());
    assertThrows(IllegalArgumentException.class,
        () -> TokenScores.none().with(DropMethod.KNORM, new float[1][1][1]));
    assertThrows(IllegalArgumentException.class,
        () -> TokenScores.none().with(DropMethod.H2O, new float[][][] {{{Float.NaN}}}));
    assertThrows(IllegalArgumentException.class,
        () -> TokenScores.none().with(DropMethod.H2O, new float[][][] {{{1, 2}, {1}}}));
    assertThrows(IllegalArgumentException.class,
        () -> TokenScores.none().with(DropMethod.H2O, new float[0][][]));
  }

  /** Goal: who can only leave out whole tokens gets such chunks, or exact ones, and never others. */
  @Test
  void uniformlyPrunedChunksAreForThoseWhoAsk() {
    AcquireOptions uniformly = AcquireOptions.any().acceptingUniformlyPruned();
    KvCache cache = inMemory(Encoding.RAW.keepingUniformly(DropMethod.KNORM, 50));
    prompt(1, 3).store(cache);
    assertEquals(3, prompt(1, 3).find(cache, uniformly), "exact will do");
    background.runAll();
    assertEquals(0, prompt(1, 3).find(cache, AcquireOptions.any()));
    assertEquals(3, prompt(1, 3).find(cache, uniformly));
    assertEquals(3, prompt(1, 3).find(cache, PRUNED));
    try (KvLease lease = prompt(1, 3).acquire(cache, uniformly)) {
      Run run = lease.runs().getFirst();
      assertEquals("uniform-knorm-50", run.codec());
      assertEquals(new Fidelity.Pruned(0.5, Fidelity.EXACT), run.fidelity());
      List<Integer> positions = list(lease.kept(run, 0).positions()[0]);
      assertEquals(3 * CHUNK_TOKENS / 2, positions.size());
      for (int layer = 0; layer < LAYOUT.layers().size(); layer++) {
        for (int[] head : lease.kept(run, layer).positions()) {
          assertEquals(positions, list(head), "layer " + layer);
        }
      }
    }
  }

  /** Goal: the same after a restart, which knows the entries by their notes alone; and from a disk. */
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void whoeverAsksForUniformChunksNeverGetsOthers(boolean uniform) throws Exception {
    Encoding encoding = uniform ? Encoding.RAW.keepingUniformly(DropMethod.KEYDIFF, 50)
        : Encoding.RAW.keeping(DropMethod.KEYDIFF, 50);
    MemoryTier ssd = tier("ssd", DISK, 20);
    KvCache cache = openStill(LruPlacement.withEncodings(encoding, encoding), tier("dram", MEMORY, 20), ssd);
    TestPrompt prompt = prompt(1, 2);
    prompt.store(cache);
    background.runAll();
    AcquireOptions uniformly = AcquireOptions.any().acceptingUniformlyPruned();
    assertEquals(uniform ? 2 : 0, prompt.find(cache, uniformly));
    cache.flush();
    close(ssd);
    KvCache again = openStill(LruPlacement.withEncodings(encoding, encoding), tier("dram", MEMORY, 20),
        checked(ssd.reopen()));
    assertEquals(uniform ? 2 : 0, prompt.find(again, uniformly));
    assertEquals(2, prompt.find(again, PRUNED));
  }

  /** Uniform chunks move and are rounded like others, and stay uniform; they are not made into others. */
  @Test
  void uniformChunksStayUniform() {
    Encoding uniform = Encoding.RAW.keepingUniformly(DropMethod.KNORM, 50);
    Encoding rounded = Encoding.of(TruncatingCompressor.CODEC).keepingUniformly(DropMethod.KNORM, 50);
    for (Encoding onDisk : List.of(rounded, HALF)) {
      KvCache cache = openStill(LruPlacement.withEncodings(uniform, onDisk), tier("dram", MEMORY, 20),
          tier("ssd", DISK, 20));
      prompt(1, 3).store(cache);
      background.runAll();
      assertEquals(3, prompt(1, 3).find(cache, AcquireOptions.any().acceptingUniformlyPruned()));
      for (int other = 2; other < 20; other++) {
        prompt(other, 3).store(cache);
        background.runAll();
      }
      AcquireOptions uniformly = AcquireOptions.any().acceptingUniformlyPruned();
      try (KvLease lease = prompt(1, 3).acquire(cache, uniformly)) {
        Run run = lease.runs().getFirst();
        assertEquals("ssd", run.tier());
        assertEquals(
            onDisk == rounded ? "uniform-knorm-50+" + new TruncatingCompressor().name() : "uniform-knorm-50",
            run.codec());
      }
      assertEquals(3, prompt(1, 3).find(cache, uniformly));
      close();
    }
  }

  /** Without scores a method that needs them changes nothing. */
  @Test
  void withoutScoresNothingIsDropped() {
    KvCache cache = inMemory(Encoding.RAW.keeping(DropMethod.H2O, 50));
    prompt(1, 2).store(cache);
    background.runAll();
    assertEquals(2, prompt(1, 2).find(cache));
    assertFalse(cache.stats().tiers().getFirst().errors() > 0);
  }
}
