package io.kvcache.internal.delay;

import io.kvcache.spi.DelayLine;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * What a {@link DelayModel} starts with, before anything is observed.
 *
 * @param tiers one entry a tier, in their order
 * @param codecs by codec number; those that are missing are taken to cost nothing
 * @param recompute guess of the time to compute tokens
 */
public record DelaySeeds(List<TierSeed> tiers, Map<Integer, CodecCost> codecs, DelayLine recompute) {
  /** Prefill of a model of some eight billion parameters at ten thousand tokens a second. */
  public static final DelayLine RECOMPUTE_GUESS = new DelayLine(1e-4, 0);

  private static final double MEMORY_GUESS = 0.1e-9;
  private static final double STORAGE_GUESS = 1e-9;

  /** Copies the collections. */
  public DelaySeeds {
    tiers = List.copyOf(tiers);
    codecs = Map.copyOf(codecs);
    Objects.requireNonNull(recompute, "recompute");
  }

  /**
   * The first lines of one tier.
   *
   * @param name the tier's
   * @param load of raw bytes
   * @param store of raw bytes
   * @param measured whether both are; a guess gives way to the first observation
   */
  public record TierSeed(String name, DelayLine load, DelayLine store, boolean measured) {
    /** Checks every component. */
    public TierSeed {
      Objects.requireNonNull(name, "name");
      Objects.requireNonNull(load, "load");
      Objects.requireNonNull(store, "store");
    }

    /** What a tier is taken to cost that could not be measured. */
    public static TierSeed guess(String name, boolean addressable) {
      DelayLine line = new DelayLine(addressable ? MEMORY_GUESS : STORAGE_GUESS, 0);
      return new TierSeed(name, line, line, false);
    }
  }
}
