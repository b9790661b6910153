package io.kvcache.bench.limits;

import io.kvcache.AcquireOptions;
import io.kvcache.DType;
import io.kvcache.KvCache;
import io.kvcache.KvLayout;
import io.kvcache.KvLease;
import io.kvcache.KvReservation;
import io.kvcache.Namespace;
import io.kvcache.StoreOptions;
import io.kvcache.Tokens;
import io.kvcache.tiers.SsdTier;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.SplittableRandom;

/**
 * A long context of a large model on an SSD: how soon its first layer is there, and how fast all of it. A layer of
 * Llama-3.1-8B is 1 MiB a chunk, which is a group of its own.
 */
final class FirstGroup implements AutoCloseable {
  private static final int LAYERS = 32;

  private final KvLayout layout = KvLayout.uniform(LAYERS, 8, 128, DType.BF16);
  private final Namespace namespace = Namespace.of("limits", layout);
  private final Arena arena = Arena.ofShared();
  private final KvCache cache;
  private final int[] prompt;
  private final MemorySegment keys;
  private final MemorySegment values;

  /** Stores a context of so many bytes, chunk by chunk. */
  FirstGroup(Path directory, long bytes) throws IOException {
    int chunks = Math.toIntExact(bytes / layout.chunkBytes());
    prompt = new SplittableRandom(1).ints((long) chunks * layout.chunkTokens(), 0, 1000).toArray();
    keys = arena.allocate(prompt.length * (long) layout.layer(0).keyRowBytes(), 4096);
    values = arena.allocate(prompt.length * (long) layout.layer(0).valueRowBytes(), 4096);
    Data.fill(keys);
    Data.fill(values);
    cache = KvCache.builder(layout)
        .tier(SsdTier.builder(directory, bytes + bytes / 4 + (64L << 20)).freeSpaceFloorBytes(0).open())
        .open();
    for (int chunk = 1; chunk <= chunks; chunk++) {
      store(Tokens.of(Arrays.copyOf(prompt, chunk * layout.chunkTokens())));
    }
    cache.flush();
  }

  private void store(Tokens tokens) throws IOException {
    try (KvReservation space = cache.reserve(namespace, tokens, StoreOptions.defaults())) {
      long row = layout.layer(0).keyRowBytes();
      for (int layer = 0; layer < LAYERS; layer++) {
        space.write(layer, keys.asSlice(space.firstToken() * row, space.tokens() * row),
            values.asSlice(space.firstToken() * row, space.tokens() * row));
      }
      if (!space.commit()) {
        throw new IOException("could not store at token " + tokens.length() + ": " + space.status());
      }
    }
  }

  /** Bytes of one layer of all tokens. */
  long layerBytes() {
    return keys.byteSize() + values.byteSize();
  }

  /** Bytes of the context. */
  long bytes() {
    return LAYERS * layerBytes();
  }

  /** Seconds until so many layers are read and verified, from the tokens on. */
  double secondsTo(int layers) throws IOException {
    long start = System.nanoTime();
    Tokens tokens = Tokens.of(prompt);
    try (KvLease lease =
        cache.acquire(namespace, tokens, AcquireOptions.exact().deadline(Duration.ofHours(1)))) {
      for (int layer = 0; layer < layers; layer++) {
        lease.read(layer, keys, values);
      }
      if (lease.tokens() != prompt.length) {
        throw new IOException("found " + lease.tokens() + " tokens of " + prompt.length);
      }
      return (System.nanoTime() - start) / 1e9;
    }
  }

  /** Seconds until all layers are there. */
  double secondsToAll() throws IOException {
    return secondsTo(LAYERS);
  }

  @Override
  public void close() {
    try {
      cache.close();
    } finally {
      arena.close();
    }
  }
}
