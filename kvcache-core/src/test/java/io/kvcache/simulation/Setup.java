package io.kvcache.simulation;

import io.kvcache.DType;
import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.KvLayout;
import io.kvcache.LayerSpec;
import io.kvcache.NamespaceLimits;
import io.kvcache.placement.LruPlacement;
import io.kvcache.placement.UtilityPlacement;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.PlacementPolicy;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierTrait;
import io.kvcache.testkit.RandomPolicy;
import io.kvcache.testkit.TrailingZerosCompressor;
import io.kvcache.testkit.TruncatingCompressor;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.function.UnaryOperator;

/**
 * What one run is about, drawn from its seed.
 *
 * @param layout of all namespaces
 * @param prompts how many there are
 * @param tiers fastest first
 * @param encodings of each tier
 * @param compressors those the cache knows
 * @param policy who decides
 * @param choices encodings that a policy with a choice has
 * @param limits of each namespace of the workload, in their order
 * @param told what the cache is told of those: all of it, but where a test wants to see whether that is noticed
 * @param roomy whether nothing ever needs to be evicted, and nothing exact becomes lossy
 * @param faulty whether media fail now and then
 * @param crashing whether the power fails in the middle of things, and not between them only
 * @param mutation breaks a tier, to see whether that is noticed
 */
record Setup(
    KvLayout layout,
    int prompts,
    List<TierSetup> tiers,
    List<Encoding> encodings,
    List<Compressor> compressors,
    Decider policy,
    List<Encoding> choices,
    List<NamespaceLimits> limits,
    UnaryOperator<NamespaceLimits> told,
    boolean roomy,
    boolean faulty,
    boolean crashing,
    UnaryOperator<Tier> mutation) {
  private static final int[] CODECS = {0, 0, TrailingZerosCompressor.CODEC, TruncatingCompressor.CODEC};
  private static final LayerSpec SMALL = LayerSpec.of(2, 4, DType.F16);
  private static final LayerSpec VALUELESS = new LayerSpec(1, 12, 0, DType.BF16, 0);
  private static final long MOST_LIVE_MILLIS = Duration.ofMinutes(10).toMillis();
  /** Alone in its part: 1 MiB a chunk. */
  private static final LayerSpec LARGE = LayerSpec.opaque(1 << 16);
  private static final List<Encoding> LOSSLESS =
      List.of(Encoding.RAW, Encoding.of(TrailingZerosCompressor.CODEC));
  private static final List<Encoding> LOSSY = List.of(Encoding.of(TruncatingCompressor.CODEC),
      Encoding.of(TruncatingCompressor.COARSE_CODEC));
  private static final List<Encoding> DROPPING = List.of(
      Encoding.RAW.keeping(DropMethod.STREAMING_LLM, 50),
      Encoding.RAW.keeping(DropMethod.KNORM, 50),
      Encoding.of(TruncatingCompressor.CODEC).keeping(DropMethod.KNORM, 50),
      Encoding.of(TrailingZerosCompressor.CODEC).keeping(DropMethod.KEYDIFF, 25),
      Encoding.of(TruncatingCompressor.COARSE_CODEC).keeping(DropMethod.KEYDIFF, 25),
      Encoding.RAW.keeping(DropMethod.SNAPKV, 40),
      Encoding.of(TruncatingCompressor.CODEC).keeping(DropMethod.SNAPKV, 40),
      Encoding.RAW.keepingUniformly(DropMethod.KNORM, 50),
      Encoding.of(TruncatingCompressor.CODEC).keepingUniformly(DropMethod.KNORM, 50),
      Encoding.of(TrailingZerosCompressor.CODEC).keepingUniformly(DropMethod.SNAPKV, 40));

  /** The policies there are. */
  enum Decider {
    LRU, UTILITY, RANDOM
  }

  /** A tier to be. */
  record TierSetup(String name, long capacityBytes, Set<TierTrait> traits) {
    boolean durable() {
      return traits.contains(TierTrait.DURABLE);
    }
  }

  /** More than a chunk takes, headers and rounding included. */
  static long mostChunkBytes(KvLayout layout) {
    return layout.chunkBytes() + 1500;
  }

  /** Small chunks, least recently used and with all their tokens; the seed decides about everything else. */
  static Setup of(SplittableRandom random) {
    return of(new KvLayout(List.of(SMALL, VALUELESS, LayerSpec.opaque(24), SMALL), 16), random);
  }

  /** Chunks of several parts, one of them large. */
  static Setup ofSeveralParts(SplittableRandom random) {
    return of(new KvLayout(List.of(SMALL, LARGE, VALUELESS, LARGE, SMALL), 16), random);
  }

  /** Any policy, any encoding, power that fails at any time. */
  static Setup ofAnyPolicy(SplittableRandom random) {
    boolean dropping = random.nextInt(3) > 0;
    Setup base =
        of(new KvLayout(List.of(SMALL, VALUELESS, dropping ? SMALL : LayerSpec.opaque(24), SMALL), 16),
            random);
    Decider decider = Decider.values()[random.nextInt(Decider.values().length)];
    List<Encoding> choices = new ArrayList<>(LOSSLESS);
    if (!base.roomy) {
      choices.addAll(LOSSY);
      choices.addAll(dropping ? DROPPING : List.of());
    }
    List<Encoding> encodings =
        base.tiers.stream().map(tier -> Workload.anyOf(choices, random)).toList();
    boolean roomy = base.roomy && decider != Decider.UTILITY;
    return new Setup(base.layout, base.prompts, base.tiers, encodings, base.compressors, decider, choices,
        base.limits, base.told, roomy, base.faulty, true, base.mutation);
  }

  private static Setup of(KvLayout layout, SplittableRandom random) {
    boolean roomy = random.nextInt(4) == 0;
    boolean faulty = !roomy && random.nextInt(2) == 0;
    List<Set<TierTrait>> stack = new ArrayList<>();
    int shape = random.nextInt(5);
    if (shape < 4) {
      stack.add(random.nextInt(4) > 0 ? Set.of(TierTrait.ADDRESSABLE) : Set.of());
    }
    if (shape == 1) {
      stack.add(Set.of());
    }
    stack.add(random.nextInt(8) == 0 ? Set.of(TierTrait.DURABLE, TierTrait.ADDRESSABLE)
        : Set.of(TierTrait.DURABLE));
    if (shape == 2) {
      stack.add(Set.of(TierTrait.DURABLE));
    } else if (shape == 3) {
      stack.add(Set.of());
    }
    List<TierSetup> tiers = new ArrayList<>();
    List<Encoding> encodings = new ArrayList<>();
    for (int tier = 0; tier < stack.size(); tier++) {
      int chunks = roomy ? 1000 : 4 + random.nextInt(20) * (1 + tier);
      tiers.add(new TierSetup("tier-" + tier, chunks * mostChunkBytes(layout), stack.get(tier)));
      encodings.add(Encoding.of(roomy ? 0 : CODECS[random.nextInt(CODECS.length)]));
    }
    return new Setup(layout, 4 + random.nextInt(12), tiers, encodings,
        List.of(new TrailingZerosCompressor(), new TruncatingCompressor(), TruncatingCompressor.coarse()),
        Decider.LRU, List.of(), limits(layout, roomy, random.split()), limits -> limits, roomy, faulty, false,
        tier -> tier);
  }

  /** Some namespaces have a time to live, some a quota that a few of their prompts exceed. */
  private static List<NamespaceLimits> limits(KvLayout layout, boolean roomy, SplittableRandom random) {
    List<NamespaceLimits> limits = new ArrayList<>();
    for (int namespace = 0; namespace < Workload.NAMESPACES; namespace++) {
      NamespaceLimits each = NamespaceLimits.none();
      if (random.nextInt(3) == 0) {
        each = each.timeToLive(Duration.ofMillis(random.nextLong(1, MOST_LIVE_MILLIS)));
      }
      if (!roomy && random.nextBoolean()) {
        each = each.quotaBytes((2 + random.nextInt(14)) * mostChunkBytes(layout));
      }
      limits.add(each);
    }
    return limits;
  }

  /** The policy of one cache. */
  PlacementPolicy policy(SplittableRandom random) {
    return switch (policy) {
      case LRU -> LruPlacement.withEncodings(encodings.toArray(Encoding[]::new));
      case RANDOM -> new RandomPolicy(choices, !roomy, random);
      case UTILITY -> UtilityPlacement.builder()
          .candidates(choices.stream().filter(choice -> !LOSSLESS.contains(choice)).toList())
          .lossless(TrailingZerosCompressor.CODEC)
          .keepFull(random.nextBoolean())
          .alpha(random.nextDouble() * 0.01)
          .hysteresis(random.nextBoolean() ? 0 : 0.25)
          .build();
    };
  }

  /** With these compressors in place of those of the same number, in every tier. */
  Setup withCompressor(Compressor compressor) {
    List<Encoding> everywhere = Collections.nCopies(encodings.size(), Encoding.of(compressor.codec()));
    return new Setup(layout, prompts, tiers, everywhere, List.of(compressor), policy, choices, limits, told,
        roomy, faulty,
        crashing, mutation);
  }

  /** With this compressor in place of the one of the same number. */
  Setup replacing(Compressor compressor) {
    List<Compressor> others = compressors.stream()
        .map(each -> each.codec() == compressor.codec() ? compressor : each).toList();
    return new Setup(layout, prompts, tiers, encodings, others, policy, choices, limits, told, roomy, faulty,
        crashing,
        mutation);
  }

  /** With the cache told of other limits. */
  Setup telling(UnaryOperator<NamespaceLimits> other) {
    return new Setup(layout, prompts, tiers, encodings, compressors, policy, choices, limits, other, roomy,
        faulty,
        crashing, mutation);
  }

  /** With every durable tier broken like this. */
  Setup withMutation(UnaryOperator<Tier> breakTier) {
    return new Setup(layout, prompts, tiers, encodings, compressors, policy, choices, limits, told, roomy,
        faulty, crashing,
        breakTier);
  }
}
