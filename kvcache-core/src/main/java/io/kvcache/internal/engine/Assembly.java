package io.kvcache.internal.engine;

import io.kvcache.Encoding;
import io.kvcache.KvCacheBuilder.Settings;
import io.kvcache.KvLayout;
import io.kvcache.internal.delay.Calibration;
import io.kvcache.internal.delay.DelayModel;
import io.kvcache.internal.delay.DelaySeeds;
import io.kvcache.internal.delay.DelaySeeds.TierSeed;
import io.kvcache.internal.frame.Codecs;
import io.kvcache.internal.frame.EntryNote;
import io.kvcache.internal.frame.FramePlan;
import io.kvcache.internal.tree.Segment;
import io.kvcache.spi.CacheRuntime;
import io.kvcache.spi.PlacementPolicy.CacheInfo;
import io.kvcache.spi.PlacementPolicy.TierInfo;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierTrait;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Puts the parts of a cache together, once it is sure that they fit. */
final class Assembly {
  /** A segment takes at most this share of the smallest bounded local tier, so that one move is never huge. */
  private static final long SEGMENT_SHARE = 8;

  private final Settings settings;
  private final KvLayout layout;
  private final FramePlan plan;
  private final Codecs codecs;
  private long largestPart = 1;

  Assembly(Settings settings) {
    this.settings = settings;
    this.layout = settings.layout();
    this.plan = new FramePlan(layout, settings.encodedLayout());
    this.codecs = new Codecs(settings.compressors(), layout);
  }

  /**
   * Checks the parts, starts the policy, measures tiers and codecs if it wants to know, and makes the rest.
   *
   * @throws IllegalArgumentException when something does not fit; nothing was written to a tier then
   */
  Resources assemble(Events events) {
    requireRoomForEntries();
    List<TierInfo> infos = settings.tiers().stream()
        .map(tier -> new TierInfo(tier.name(), tier.usage().capacityBytes(), () -> tier.usage().usedBytes(),
            tier.traits()))
        .toList();
    settings.policy().start(
        new CacheInfo(infos, codecs, layout.chunkTokens(), settings.frequencyHalfLife().toNanos()));
    List<Encoding> candidates = settings.policy().candidates();
    requireCandidates(candidates);
    CacheRuntime runtime = settings.runtime();
    DelayModel delays = new DelayModel(seeds(runtime));
    List<TierHandle> tiers = new ArrayList<>();
    for (Tier tier : settings.tiers()) {
      tiers.add(new TierHandle(tiers.size(), tier, runtime.nanoTime(), delays, events));
    }
    Inventory inventory = new Inventory(segmentChunks(infos), settings.frequencyHalfLife().toNanos(),
        settings.policy(), runtime.nanoTime(), tiers);
    return new Resources(plan, codecs, new Qualities(codecs, candidates), List.copyOf(tiers), inventory,
        delays,
        Staging.forLeases(settings.stagingBytes(), largestPart), Staging.forMover(largestPart), runtime,
        events);
  }

  private void requireRoomForEntries() {
    for (int codec : codecs.codecs()) {
      long entry = 0;
      for (long bytes : plan.mostPartBytes(codecs.get(codec))) {
        largestPart = Math.max(largestPart, bytes);
        entry += (bytes + Tier.ALIGNMENT - 1) & -Tier.ALIGNMENT;
      }
      for (Tier tier : settings.tiers()) {
        if (entry > tier.maxEntryBytes()) {
          throw new IllegalArgumentException(
              "a chunk encoded as " + codecs.get(codec).name() + " may take " + entry
                  + " bytes, tier " + tier.name() + " takes at most " + tier.maxEntryBytes() + " for one");
        }
      }
    }
  }

  private void requireCandidates(List<Encoding> candidates) {
    if (candidates.size() > EntryNote.MAX_CANDIDATES) {
      throw new IllegalArgumentException("the policy has " + candidates.size() + " candidates, at most "
          + EntryNote.MAX_CANDIDATES + " can be kept with an entry");
    }
    for (Encoding candidate : candidates) {
      if (!codecs.supports(candidate)) {
        throw new IllegalArgumentException("the cache cannot store the candidate " + candidate);
      }
    }
  }

  private DelaySeeds seeds(CacheRuntime runtime) {
    if (settings.policy().weighsDelays()) {
      Calibration calibration =
          new Calibration(runtime.nanoTime(), runtime.random(), Calibration.DEFAULT_BUDGET_NANOS);
      return Tasks.onIo(runtime, () -> calibration.run(settings.tiers(), settings.compressors(), layout));
    }
    return new DelaySeeds(settings.tiers().stream()
        .map(tier -> TierSeed.guess(tier.name(), tier.traits().contains(TierTrait.ADDRESSABLE))).toList(),
        Map.of(),
        DelaySeeds.RECOMPUTE_GUESS);
  }

  private int segmentChunks(List<TierInfo> tiers) {
    if (settings.mostSegmentChunks() > 0) {
      return settings.mostSegmentChunks();
    }
    long smallest = tiers.stream().mapToLong(TierInfo::capacityBytes).min().orElseThrow();
    return Math.clamp(smallest / SEGMENT_SHARE / layout.chunkBytes(), 1, Segment.MAX_CHUNKS);
  }
}
