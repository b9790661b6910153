package io.kvcache.compress;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.AcquireOptions;
import io.kvcache.DType;
import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.Fidelity;
import io.kvcache.KvCache;
import io.kvcache.KvHalf;
import io.kvcache.KvLayout;
import io.kvcache.KvLease;
import io.kvcache.KvLease.KvKept;
import io.kvcache.KvReservation;
import io.kvcache.KvShape;
import io.kvcache.LayerSpec;
import io.kvcache.Namespace;
import io.kvcache.StoreOptions;
import io.kvcache.TokenScores;
import io.kvcache.Tokens;
import io.kvcache.placement.LruPlacement;
import io.kvcache.spi.CacheRuntime;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.MalformedDataException;
import io.kvcache.spi.TierTrait;
import io.kvcache.testkit.Closeness;
import io.kvcache.testkit.KvSamples;
import io.kvcache.testkit.LeakCheck;
import io.kvcache.testkit.MemoryTier;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Named;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Goal: every way to drop tokens composes with every codec. Method: through a cache, for each codec of the list and
 * each method, in each head and uniformly: the positions are those that are kept without a codec, the label says what
 * was done, and the rows are, bit for bit, what the codec by itself makes of the rows at these positions, which is as
 * close to them as it says.
 */
class DroppedTokensTest {
  private static final long SEED = Long.getLong("test.seed", 20261126);
  private static final int CHUNK_TOKENS = 32;
  private static final int CHUNKS = 3;
  private static final int TOKENS = CHUNKS * CHUNK_TOKENS;
  private static final int PERCENT = 45;
  private static final KvLayout LAYOUT = new KvLayout(List.of(new LayerSpec(2, 16, 8, DType.BF16, 0),
      new LayerSpec(3, 5, 7, DType.F16, 0), new LayerSpec(1, 12, 0, DType.F32, 0)), CHUNK_TOKENS);
  private static final Namespace NAMESPACE = Namespace.of("model", LAYOUT);
  private static final Tokens PROMPT = Tokens.of(IntStream.range(0, TOKENS).toArray());
  private static final AcquireOptions PRUNED = AcquireOptions.any().acceptingPruned();
  private static final Map<Encoding, int[][][]> WITHOUT_CODEC = new HashMap<>();

  /** Keys and values of all tokens, by layer. */
  private static final List<Map<KvHalf, MemorySegment>> CONTENT = content();

  static Stream<Named<Compressor>> codecs() {
    return Compressors.all().stream().map(codec -> Named.of(codec.name(), codec));
  }

  private static List<Map<KvHalf, MemorySegment>> content() {
    List<Map<KvHalf, MemorySegment>> content = new ArrayList<>();
    for (LayerSpec layer : LAYOUT.layers()) {
      Map<KvHalf, MemorySegment> halves = new HashMap<>();
      for (KvHalf half : KvHalf.values()) {
        halves.put(half, KvSamples.REALISTIC.fill(layer.shape(half, TOKENS), SEED));
      }
      content.add(halves);
    }
    return content;
  }

  private static TokenScores scores() {
    SplittableRandom random = new SplittableRandom(SEED);
    TokenScores scores = TokenScores.none();
    for (DropMethod method : EnumSet.allOf(DropMethod.class)) {
      if (method.needsScores()) {
        float[][][] given = new float[LAYOUT.layers().size()][][];
        for (int layer = 0; layer < given.length; layer++) {
          given[layer] = new float[LAYOUT.layer(layer).kvHeads()][TOKENS];
          for (float[] head : given[layer]) {
            for (int token = 0; token < TOKENS; token++) {
              head[token] = (float) random.nextDouble();
            }
          }
        }
        scores = scores.with(method, given);
      }
    }
    return scores;
  }

  /** All ways to drop tokens, kept by this codec. */
  private static List<Encoding> encodings(int codec) {
    List<Encoding> encodings = new ArrayList<>();
    for (DropMethod method : DropMethod.values()) {
      if (method != DropMethod.NONE) {
        encodings.add(Encoding.of(codec).keeping(method, PERCENT));
        encodings.add(Encoding.of(codec).keepingUniformly(method, PERCENT));
      }
    }
    return encodings;
  }

  /** One thread does everything, at once; an encoding for each tier. */
  private static KvCache open(Compressor codec, List<Encoding> encodings, MemoryTier... tiers) {
    CacheRuntime here =
        new CacheRuntime(System::nanoTime, InstantSource.system(), new Random(1), Runnable::run,
            Runnable::run, Runnable::run, () -> {});
    var builder = KvCache.builder(LAYOUT).runtime(here)
        .policy(LruPlacement.withEncodings(encodings.toArray(Encoding[]::new)));
    if (codec != null) {
      builder.compressors(codec);
    }
    for (MemoryTier tier : tiers) {
      builder.tier(tier);
    }
    return builder.open();
  }

  private static MemoryTier memory() {
    return new MemoryTier("dram", 1 << 20, Set.of(TierTrait.ADDRESSABLE));
  }

  private static void store(KvCache cache) throws IOException {
    try (KvReservation space = cache.reserve(NAMESPACE, PROMPT, StoreOptions.defaults().scores(scores()))) {
      for (int layer = 0; layer < CONTENT.size(); layer++) {
        space.write(layer, CONTENT.get(layer).get(KvHalf.KEYS), CONTENT.get(layer).get(KvHalf.VALUES));
      }
      assertTrue(space.commit());
    }
  }

  @ParameterizedTest
  @MethodSource("codecs")
  void everyMethodComposesWithTheCodec(Compressor codec) throws Exception {
    for (Encoding encoding : encodings(codec.codec())) {
      MemoryTier dram = memory();
      KvCache cache = open(codec, List.of(encoding), dram);
      store(cache);
      check(cache, codec, encoding, "dram");
      LeakCheck.close(cache, dram);
    }
  }

  /** Goal: the same where rows that were pruned first are encoded on their way to a disk, and read from there. */
  @ParameterizedTest
  @MethodSource("codecs")
  void keptRowsAreEncodedLater(Compressor codec) throws Exception {
    for (Encoding encoding : encodings(codec.codec())) {
      Encoding raw = raw(encoding);
      MemoryTier disk = new MemoryTier("ssd", 1 << 20, Set.of(TierTrait.DURABLE));
      KvCache cache = open(codec, List.of(raw, encoding), memory(), disk);
      store(cache);
      check(cache, codec, raw, "dram");
      cache.flush();
      LeakCheck.close(cache);
      MemoryTier again = disk.reopen();
      cache = open(codec, List.of(raw, encoding), memory(), again);
      check(cache, codec, encoding, "ssd");
      LeakCheck.close(cache, again);
    }
  }

  private static Encoding raw(Encoding encoding) {
    return encoding.uniform() ? Encoding.RAW.keepingUniformly(encoding.dropping(), PERCENT)
        : Encoding.RAW.keeping(encoding.dropping(), PERCENT);
  }

  private static void check(KvCache cache, Compressor codec, Encoding encoding, String tier)
      throws Exception {
    boolean raw = encoding.codec() == Encoding.RAW.codec();
    String at = "seed=" + SEED + " " + encoding.name(codec.name());
    try (KvLease lease = cache.acquire(NAMESPACE, PROMPT, PRUNED)) {
      assertEquals(TOKENS, lease.tokens(), at);
      assertEquals(1, lease.runs().size(), at);
      KvLease.Run run = lease.runs().getFirst();
      assertEquals(tier, run.tier(), at);
      assertEquals(encoding.name(codec.name()), run.codec(), at);
      Fidelity ofRows = raw ? Fidelity.EXACT : codec.fidelity();
      assertEquals(new Fidelity.Pruned(PERCENT / 100.0, ofRows), run.fidelity(), at);
      assertEquals(run.fidelity(), lease.fidelity(), at);
      int[][][] expected = positionsWithoutCodec(raw(encoding));
      for (int layer = 0; layer < CONTENT.size(); layer++) {
        KvKept kept = lease.kept(run, layer);
        assertArrayEquals(expected[layer], kept.positions(), at + " layer " + layer);
        assertEquals(TOKENS * PERCENT / 100, kept.kept(), at);
        for (KvHalf half : KvHalf.values()) {
          MemorySegment found = half == KvHalf.KEYS ? kept.keys() : kept.values();
          checkRows(raw ? null : codec, layer, half, kept.positions(), found,
              at + " " + half + " of layer " + layer);
        }
      }
    }
  }

  /** What a cache without codecs keeps. */
  private static int[][][] positionsWithoutCodec(Encoding raw) throws IOException {
    int[][][] known = WITHOUT_CODEC.get(raw);
    if (known == null) {
      known = new int[CONTENT.size()][][];
      MemoryTier dram = memory();
      KvCache cache = open(null, List.of(raw), dram);
      store(cache);
      try (KvLease lease = cache.acquire(NAMESPACE, PROMPT, PRUNED)) {
        for (int layer = 0; layer < known.length; layer++) {
          known[layer] = lease.kept(lease.runs().getFirst(), layer).positions();
        }
      }
      LeakCheck.close(cache, dram);
      WITHOUT_CODEC.put(raw, known);
    }
    return known;
  }

  /** Chunk by chunk, as they were encoded; {@code codec} is null for none. */
  private static void checkRows(Compressor codec, int layer, KvHalf half, int[][] positions,
      MemorySegment found,
      String at) throws MalformedDataException {
    LayerSpec spec = LAYOUT.layer(layer);
    int headBytes = spec.rowBytes(half) / spec.kvHeads();
    int kept = positions[0].length;
    assertEquals((long) kept * spec.rowBytes(half), found.byteSize(), at);
    int first = 0;
    for (int chunk = 0; chunk < CHUNKS && headBytes > 0; chunk++) {
      int end = (chunk + 1) * CHUNK_TOKENS;
      int count = (int) Arrays.stream(positions[0]).filter(token -> token < end).count() - first;
      if (count > 0) {
        MemorySegment source = MemorySegment.ofArray(new byte[count * spec.rowBytes(half)]);
        MemorySegment actual = MemorySegment.ofArray(new byte[count * spec.rowBytes(half)]);
        for (int head = 0; head < positions.length; head++) {
          for (int row = 0; row < count; row++) {
            long to = (long) row * spec.rowBytes(half) + (long) head * headBytes;
            long from = (long) positions[head][first + row] * spec.rowBytes(half) + (long) head * headBytes;
            MemorySegment.copy(CONTENT.get(layer).get(half), from, source, to, headBytes);
            MemorySegment.copy(found, ((long) head * kept + first + row) * headBytes, actual, to, headBytes);
          }
        }
        checkChunk(codec, spec.shape(half, count), source, actual, at + ", chunk " + chunk);
      }
      first += count;
    }
    assertTrue(headBytes == 0 || first == kept, at);
  }

  private static void checkChunk(Compressor codec, KvShape shape, MemorySegment source, MemorySegment actual,
      String at) throws MalformedDataException {
    MemorySegment expected = source;
    if (codec != null && !codec.fidelity().exact()) {
      MemorySegment room = MemorySegment.ofArray(new byte[Math.toIntExact(codec.maxStoredBytes(shape))]);
      MemorySegment stored = room.asSlice(0, codec.compress(shape, source, room));
      expected = MemorySegment.ofArray(new byte[Math.toIntExact(shape.bytes())]);
      codec.decompress(shape, codec.parameters(), stored, expected);
      new Closeness(codec, shape, source, actual).requireAll();
    }
    assertArrayEquals(expected.toArray(ValueLayout.JAVA_BYTE), actual.toArray(ValueLayout.JAVA_BYTE), at);
  }
}
