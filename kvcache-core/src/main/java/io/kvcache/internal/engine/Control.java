package io.kvcache.internal.engine;

import io.kvcache.ChunkKey;
import io.kvcache.Explanation;
import io.kvcache.Explanation.Option;
import io.kvcache.KeyChain;
import io.kvcache.KvCacheBuilder.Settings;
import io.kvcache.KvControl;
import io.kvcache.Namespace;
import io.kvcache.Tokens;
import io.kvcache.internal.tree.Segment;
import io.kvcache.spi.Placement;
import io.kvcache.spi.PlacementPolicy.Verdict;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.function.BiFunction;

/** What can be asked and told of a cache. */
final class Control implements KvControl {
  private static final String NONE = "none";

  private final Resources shared;
  private final Migrator migrator;
  private final Profiler profiler;
  private final BiFunction<Namespace, Tokens, KeyChain> chains;
  private final double reprofileBelow;

  /**
   * The control of one cache.
   *
   * @param chains gives the keys of a prompt, once it is sure that the namespace is of the cache
   */
  Control(Resources shared, Migrator migrator, Settings settings,
      BiFunction<Namespace, Tokens, KeyChain> chains) {
    this.shared = shared;
    this.migrator = migrator;
    this.profiler = new Profiler(shared, settings.probe(), settings.probeTimeout());
    this.chains = chains;
    this.reprofileBelow = settings.reprofileBelow();
  }

  @Override
  public Explanation explain(Namespace namespace, Tokens tokens) {
    KeyChain chain = chains.apply(namespace, tokens);
    List<ChunkKey> keys = CacheEngine.allKeys(chain);
    return new Explanation(tokens.length(),
        shared.inventory.insights().explain(chain.root(), keys, this::explained));
  }

  private Explanation.Segment explained(Segment segment, Verdict verdict) {
    int chunkTokens = shared.plan.layout().chunkTokens();
    List<Option> options = verdict.options().stream()
        .map(option -> new Option(
            option.placement().map(Placement::tier).map(tier -> shared.tiers.get(tier).name()).orElse(NONE),
            option.placement().map(Placement::encoding).map(shared.codecs::name).orElse(NONE), option.bytes(),
            option.quality(), option.delaySeconds(), option.utility(), option.present()))
        .toList();
    return new Explanation.Segment(segment.firstChunk() * chunkTokens, segment.chunks() * chunkTokens,
        segment.uses(), segment.frequency(shared.runtime.nanoTime().getAsLong()), segment.profiled(),
        verdict.reason(), options);
  }

  @Override
  public Profiling profile(Duration budget) {
    Objects.requireNonNull(budget, "budget");
    shared.requireOpen();
    Profiling done = profiler.profile(budget);
    if (shared.inventory.wishesWaiting()) {
      migrator.wake();
    }
    return done;
  }

  @Override
  public void reportQuality(Namespace namespace, Tokens tokens, double quality) {
    if (!(quality >= 0 && quality <= 1)) {
      throw new IllegalArgumentException("quality is " + quality + ", must be 0 to 1");
    }
    KeyChain chain = chains.apply(namespace, tokens);
    shared.inventory.insights().observed(chain.root(), CacheEngine.allKeys(chain), quality + reprofileBelow,
        shared.qualities);
  }
}
