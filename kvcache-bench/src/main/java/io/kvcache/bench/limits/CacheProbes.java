package io.kvcache.bench.limits;

import io.kvcache.AcquireOptions;
import io.kvcache.DType;
import io.kvcache.KvCache;
import io.kvcache.KvLayout;
import io.kvcache.KvLease;
import io.kvcache.KvLease.Run;
import io.kvcache.KvReservation;
import io.kvcache.Namespace;
import io.kvcache.StoreOptions;
import io.kvcache.Tokens;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierTrait;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

/**
 * What an engine gets from one tier through the cache: KV shaped like a large model's, stored chunk by chunk, leased,
 * and read layer by layer, all verified. A pass moves all of it once.
 */
final class CacheProbes implements ProbeGroup {
  private static final int LAYERS = 8;
  private static final int MOST_CHUNK_TOKENS = 256;
  private static final int LEAST_CHUNKS = 2;
  private static final AcquireOptions PATIENT = AcquireOptions.exact().deadline(Duration.ofHours(1));

  private final KvCache cache;
  private final boolean addressable;
  private final String name;
  private final KvLayout layout;
  private final Namespace namespace;
  private final Arena arena = Arena.ofShared();
  private final List<MemorySegment> keys = new ArrayList<>();
  private final List<MemorySegment> values = new ArrayList<>();
  private final int[] prompt;

  /**
   * Takes over an empty tier, which {@link #close} closes.
   *
   * @param bytes KV that is moved in a pass; the tier must hold more
   */
  CacheProbes(Tier tier, long bytes) {
    name = tier.name();
    addressable = tier.traits().contains(TierTrait.ADDRESSABLE);
    layout = layoutFor(bytes);
    namespace = Namespace.of("limits", layout);
    prompt = new SplittableRandom(1)
        .ints(Math.max(1, bytes / layout.chunkBytes()) * layout.chunkTokens(), 0, 1000)
        .toArray();
    cache = KvCache.builder(layout).tier(tier).open();
    for (int layer = 0; layer < LAYERS; layer++) {
      keys.add(filled());
      values.add(filled());
    }
  }

  private static KvLayout layoutFor(long bytes) {
    KvLayout layout = KvLayout.uniform(LAYERS, 8, 128, DType.BF16).withChunkTokens(MOST_CHUNK_TOKENS);
    while (layout.chunkBytes() * LEAST_CHUNKS > bytes && layout.chunkTokens() > KvLayout.MIN_CHUNK_TOKENS) {
      layout = layout.withChunkTokens(layout.chunkTokens() / 2);
    }
    return layout;
  }

  private MemorySegment filled() {
    MemorySegment segment = arena.allocate((long) prompt.length * layout.layer(0).keyRowBytes(), 4096);
    Data.fill(segment);
    return segment;
  }

  private long passBytes() {
    return prompt.length * layout.tokenBytes();
  }

  @Override
  public List<Probe> probes() {
    if (addressable) {
      return List.of(new Path("engine store", MemoryProbes.COPY, this::store),
          new Path("engine view", MemoryProbes.CRC32C, this::view),
          new Path("engine read", MemoryProbes.COPY, this::read));
    }
    return List.of(new Path("engine store", DiskProbes.WRITE, this::store),
        new Path("engine read", DiskProbes.READ, this::read));
  }

  /** Chunk by chunk, each a longer prompt, so that no more than one chunk need be staged. */
  private void store() throws IOException {
    int chunkTokens = layout.chunkTokens();
    long row = layout.layer(0).keyRowBytes();
    for (int end = chunkTokens; end <= prompt.length; end += chunkTokens) {
      Tokens tokens = Tokens.of(Arrays.copyOf(prompt, end));
      try (KvReservation space = cache.reserve(namespace, tokens, StoreOptions.defaults())) {
        if (space.tokens() != chunkTokens) {
          throw new IOException("could not store at token " + end + " in " + name + ": " + space.status());
        }
        for (int layer = 0; layer < LAYERS; layer++) {
          space.write(layer, keys.get(layer).asSlice(space.firstToken() * row, chunkTokens * row),
              values.get(layer).asSlice(space.firstToken() * row, chunkTokens * row));
        }
        if (!space.commit()) {
          throw new IOException("the commit at token " + end + " in " + name + " failed");
        }
      }
    }
    cache.flush();
  }

  private void view() throws IOException {
    try (KvLease lease = lease()) {
      for (int layer = 0; layer < LAYERS; layer++) {
        for (Run run : lease.runs()) {
          lease.view(run, layer);
        }
      }
      requireWhole(lease);
    }
  }

  private void read() throws IOException {
    try (KvLease lease = lease()) {
      for (int layer = 0; layer < LAYERS; layer++) {
        lease.read(layer, keys.get(layer), values.get(layer));
      }
      requireWhole(lease);
    }
  }

  private KvLease lease() {
    return cache.acquire(namespace, Tokens.of(prompt), PATIENT);
  }

  private void requireWhole(KvLease lease) throws IOException {
    if (lease.tokens() != prompt.length) {
      throw new IOException(name + " gave " + lease.tokens() + " tokens of " + prompt.length);
    }
  }

  @Override
  public void close() {
    try {
      cache.close();
    } finally {
      arena.close();
    }
  }

  /** Work on all the KV. */
  private interface Work {
    void run() throws IOException;
  }

  /** One path through the cache. */
  private final class Path implements PathProbe {
    private final String operation;
    private final String limit;
    private final Work work;

    Path(String operation, String limit, Work work) {
      this.operation = operation;
      this.limit = limit;
      this.work = work;
    }

    @Override
    public String family() {
      return name + ' ' + operation;
    }

    @Override
    public String limit() {
      return limit;
    }

    /** Storing starts from an empty cache; all else finds what the last pass of that left. */
    @Override
    public void prepare() throws IOException {
      if (operation.equals("engine store")) {
        cache.clear(namespace);
      }
    }

    @Override
    public long pass() throws IOException {
      work.run();
      return passBytes();
    }
  }
}
