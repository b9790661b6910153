package io.kvcache.tiers;

import io.kvcache.Encoding;
import io.kvcache.placement.LruPlacement;
import io.kvcache.placement.UtilityPlacement;
import io.kvcache.spi.PlacementPolicy;
import io.kvcache.testkit.RandomPolicy;
import io.kvcache.testkit.TrailingZerosCompressor;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.SplittableRandom;

/**
 * What one life of a {@link CrashChild} is about; passed to it as a line of text.
 *
 * @param directory of the SSD tier
 * @param ssdBytes capacity of the SSD tier
 * @param dramBytes capacity of the DRAM tier
 * @param stagingBytes staging memory of the SSD tier
 * @param layout number of the workload's layout
 * @param policy who decides
 * @param seed of everything random
 * @param firstVersion of what is stored; no other life has the versions from here on
 * @param threads 2, or 1: then moves are made between operations, and everything happens in the same order each time
 * @param operations after so many of each thread the process ends by itself, without closing anything
 * @param flaw what is wrong with the tier, for positive controls
 */
record CrashOptions(Path directory, long ssdBytes, long dramBytes, long stagingBytes, int layout,
    Policy policy,
    long seed, long firstVersion, int threads, int operations, CrashFlaw flaw) {
  static final int ENDLESS = Integer.MAX_VALUE;

  /** Kinds of policies. */
  enum Policy {
    LRU, RANDOM, UTILITY
  }

  /** Draws all that may differ from one life of a store to the next. */
  static CrashOptions random(Path directory, int layout, long firstVersion, SplittableRandom random) {
    return new CrashOptions(directory, 8 + random.nextInt(5) << 20, 1 + random.nextInt(3) << 20,
        512 + random.nextInt(4000) << 10, layout,
        Policy.values()[Math.min(2, random.nextInt(6) / 2)], random.nextLong(), firstVersion, 2, ENDLESS,
        CrashFlaw.NONE);
  }

  CrashOptions with(CrashFlaw other) {
    return new CrashOptions(directory, ssdBytes, dramBytes, stagingBytes, layout, policy, seed, firstVersion,
        threads,
        operations, other);
  }

  CrashOptions in(Path other) {
    return new CrashOptions(other, ssdBytes, dramBytes, stagingBytes, layout, policy, seed, firstVersion,
        threads,
        operations, flaw);
  }

  String line() {
    return String.join(" ", Long.toString(ssdBytes), Long.toString(dramBytes), Long.toString(stagingBytes),
        Integer.toString(layout), policy.name(), Long.toString(seed), Long.toString(firstVersion),
        Integer.toString(threads), Integer.toString(operations), flaw.name(), directory.toString());
  }

  static CrashOptions parse(String line) {
    String[] words = line.split(" ", 11);
    return new CrashOptions(Path.of(words[10]), Long.parseLong(words[0]), Long.parseLong(words[1]),
        Long.parseLong(words[2]), Integer.parseInt(words[3]), Policy.valueOf(words[4]),
        Long.parseLong(words[5]),
        Long.parseLong(words[6]), Integer.parseInt(words[7]), Integer.parseInt(words[8]),
        CrashFlaw.valueOf(words[9]));
  }

  SsdTier openSsd() throws IOException {
    return SsdTier.builder(directory, ssdBytes).stagingBytes(stagingBytes).freeSpaceFloorBytes(0).open();
  }

  PlacementPolicy newPolicy() {
    SplittableRandom random = new SplittableRandom(seed);
    return switch (policy) {
      case LRU -> LruPlacement.withEncodings(any(random), any(random));
      case RANDOM -> new RandomPolicy(CrashWorkload.encodings(), true, random);
      case UTILITY -> UtilityPlacement.builder()
          .candidates(CrashWorkload.encodings().subList(2, CrashWorkload.encodings().size()))
          .lossless(TrailingZerosCompressor.CODEC)
          .keepFull(random.nextBoolean())
          .alpha(random.nextDouble() * 0.01)
          .build();
    };
  }

  private static Encoding any(SplittableRandom random) {
    List<Encoding> all = CrashWorkload.encodings();
    return all.get(random.nextInt(all.size()));
  }
}
