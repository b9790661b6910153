package io.kvcache.simulation;

import io.kvcache.DType;
import io.kvcache.KvLayout;
import io.kvcache.LayerSpec;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierTrait;
import io.kvcache.testkit.TrailingZerosCompressor;
import io.kvcache.testkit.TruncatingCompressor;
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
 * @param codecs encoding of each tier
 * @param compressors those the cache knows
 * @param roomy whether nothing ever needs to be evicted
 * @param faulty whether media fail now and then
 * @param mutation breaks a tier, to see whether that is noticed
 */
record Setup(
    KvLayout layout,
    int prompts,
    List<TierSetup> tiers,
    int[] codecs,
    List<Compressor> compressors,
    boolean roomy,
    boolean faulty,
    UnaryOperator<Tier> mutation) {
  private static final int[] CODECS = {0, 0, TrailingZerosCompressor.CODEC, TruncatingCompressor.CODEC};
  private static final LayerSpec SMALL = LayerSpec.of(2, 4, DType.F16);
  private static final LayerSpec VALUELESS = new LayerSpec(1, 12, 0, DType.BF16, 0);
  /** Alone in its part: 1 MiB a chunk. */
  private static final LayerSpec LARGE = LayerSpec.opaque(1 << 16);

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

  /** Small chunks; the seed decides about everything else. */
  static Setup of(SplittableRandom random) {
    return of(new KvLayout(List.of(SMALL, VALUELESS, LayerSpec.opaque(24), SMALL), 16), random);
  }

  /** Chunks of several parts, one of them large. */
  static Setup ofSeveralParts(SplittableRandom random) {
    return of(new KvLayout(List.of(SMALL, LARGE, VALUELESS, LARGE, SMALL), 16), random);
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
    int[] codecs = new int[stack.size()];
    for (int tier = 0; tier < codecs.length; tier++) {
      int chunks = roomy ? 1000 : 4 + random.nextInt(20) * (1 + tier);
      tiers.add(new TierSetup("tier-" + tier, chunks * mostChunkBytes(layout), stack.get(tier)));
      codecs[tier] = roomy ? 0 : CODECS[random.nextInt(CODECS.length)];
    }
    return new Setup(layout, 4 + random.nextInt(12), tiers, codecs,
        List.of(new TrailingZerosCompressor(), new TruncatingCompressor()), roomy, faulty, tier -> tier);
  }

  /** With these compressors in place of those of the same number, in every tier. */
  Setup withCompressor(Compressor compressor) {
    int[] everywhere =
        Collections.nCopies(codecs.length, compressor.codec()).stream().mapToInt(c -> c).toArray();
    return new Setup(layout, prompts, tiers, everywhere, List.of(compressor), roomy, faulty, mutation);
  }

  /** With every durable tier broken like this. */
  Setup withMutation(UnaryOperator<Tier> breakTier) {
    return new Setup(layout, prompts, tiers, codecs, compressors, roomy, faulty, breakTier);
  }
}
