package io.kvcache.testkit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.AcquireOptions;
import io.kvcache.ChunkKey;
import io.kvcache.Fidelity;
import io.kvcache.KeyChain;
import io.kvcache.KvCache;
import io.kvcache.KvHalf;
import io.kvcache.KvLayout;
import io.kvcache.KvLease;
import io.kvcache.KvLease.Run;
import io.kvcache.KvReservation;
import io.kvcache.LayerSpec;
import io.kvcache.Namespace;
import io.kvcache.StoreOptions;
import io.kvcache.Tokens;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.VariantClass;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** A prompt whose KV is that of {@link KvPayloads}: stored, looked up and checked in one call each. */
public final class TestPrompt {
  private final Namespace namespace;
  private final int[] ids;
  private final long version;
  private final List<ChunkKey> keys = new ArrayList<>();

  private TestPrompt(Namespace namespace, int[] ids, long version) {
    this.namespace = namespace;
    this.ids = ids;
    this.version = version;
    KeyChain chain = KeyChain.of(namespace, Tokens.of(ids));
    for (int chunk = 0; chunk < chain.chunks(); chunk++) {
      keys.add(chain.key(chunk));
    }
  }

  /** A prompt of so many full chunks; another one for every number, none like the start of another. */
  public static TestPrompt of(Namespace namespace, int number, int chunks) {
    int[] ids = new int[chunks * namespace.layout().chunkTokens()];
    Arrays.fill(ids, number);
    return new TestPrompt(namespace, ids, KvPayloads.VERSION);
  }

  /** This prompt, gone on with so many chunks; another one for every number. */
  public TestPrompt then(int number, int chunks) {
    int[] longer = Arrays.copyOf(ids, ids.length + chunks * layout().chunkTokens());
    Arrays.fill(longer, ids.length, longer.length, number);
    return new TestPrompt(namespace, longer, version);
  }

  /** The first chunks of this prompt. */
  public TestPrompt start(int chunks) {
    return new TestPrompt(namespace, Arrays.copyOf(ids, chunks * layout().chunkTokens()), version);
  }

  /** This prompt with KV of another version. */
  public TestPrompt ofVersion(long other) {
    return new TestPrompt(namespace, ids, other);
  }

  private KvLayout layout() {
    return namespace.layout();
  }

  /** Where it belongs. */
  public Namespace namespace() {
    return namespace;
  }

  /** Its tokens. */
  public Tokens tokens() {
    return Tokens.of(ids);
  }

  /** Tokens of all its chunks. */
  public int length() {
    return ids.length;
  }

  /** Keys of its chunks. */
  public List<ChunkKey> keys() {
    return keys;
  }

  /** The entry of one chunk's exact variant. */
  public EntryId entry(int chunk) {
    return new EntryId(keys.get(chunk), VariantClass.FULL);
  }

  /** Asks to store it. */
  public KvReservation reserve(KvCache cache) {
    return reserve(cache, StoreOptions.defaults());
  }

  /** Asks to store it. */
  public KvReservation reserve(KvCache cache, StoreOptions options) {
    return cache.reserve(namespace, tokens(), options);
  }

  /** Stores what is not stored yet. */
  public KvReservation.Status store(KvCache cache) {
    return store(cache, StoreOptions.defaults());
  }

  /** Stores what is not stored yet. */
  public KvReservation.Status store(KvCache cache, StoreOptions options) {
    try (KvReservation reservation = reserve(cache, options)) {
      if (reservation.status() == KvReservation.Status.RESERVED) {
        write(reservation);
        assertTrue(reservation.commit(), "not committed");
      }
      return reservation.status();
    }
  }

  /** Writes every layer. */
  public void write(KvReservation reservation) {
    for (int layer = 0; layer < layout().layers().size(); layer++) {
      write(reservation, layer);
    }
  }

  /** Writes one layer. */
  public void write(KvReservation reservation, int layer) {
    try (Arena arena = Arena.ofConfined()) {
      int first = reservation.firstToken() / layout().chunkTokens();
      int chunks = reservation.tokens() / layout().chunkTokens();
      reservation.write(layer, rows(arena, first, chunks, layer, KvHalf.KEYS),
          rows(arena, first, chunks, layer, KvHalf.VALUES));
    }
  }

  private MemorySegment rows(Arena arena, int first, int chunks, int layer, KvHalf half) {
    long chunkBytes = chunkBytes(layer, half);
    MemorySegment rows = arena.allocate(chunkBytes * chunks);
    for (int chunk = 0; chunk < chunks; chunk++) {
      KvPayloads.fill(rows.asSlice(chunk * chunkBytes, chunkBytes), keys.get(first + chunk), layer, half,
          version);
    }
    return rows;
  }

  private long chunkBytes(int layer, KvHalf half) {
    return (long) layout().chunkTokens() * layout().layer(layer).rowBytes(half);
  }

  /** Looks it up. */
  public KvLease acquire(KvCache cache, AcquireOptions options) {
    return cache.acquire(namespace, tokens(), options);
  }

  /** Looks it up, exact, reads and checks every byte; returns the chunks found. */
  public int find(KvCache cache) {
    return find(cache, AcquireOptions.exact());
  }

  /** Looks it up, reads and checks every byte; returns the chunks found. */
  public int find(KvCache cache, AcquireOptions options) {
    try (KvLease lease = acquire(cache, options)) {
      return read(lease) / layout().chunkTokens();
    }
  }

  /** Reads all layers and checks every byte; returns the tokens found. */
  public int read(KvLease lease) {
    List<Run> runs = lease.runs();
    for (int layer = 0; layer < layout().layers().size(); layer++) {
      LayerSpec spec = layout().layer(layer);
      try (Arena arena = Arena.ofConfined()) {
        MemorySegment keyRows = arena.allocate((long) lease.tokens() * spec.keyRowBytes());
        MemorySegment valueRows = arena.allocate((long) lease.tokens() * spec.valueRowBytes());
        int chunks = lease.read(layer, keyRows, valueRows) / layout().chunkTokens();
        for (Run run : runs) {
          if (KeptCheck.pruned(run) && run.firstToken() + run.tokens() <= lease.tokens()) {
            KeptCheck.check(lease.kept(run, layer), layout(), keys, run, layer, "layer " + layer);
          }
        }
        for (int chunk = 0; chunk < chunks; chunk++) {
          if (KeptCheck.pruned(runs, chunk * layout().chunkTokens())) {
            continue;
          }
          check(keyRows, chunk, chunk, layer, KvHalf.KEYS, runs);
          check(valueRows, chunk, chunk, layer, KvHalf.VALUES, runs);
        }
      }
    }
    return lease.tokens();
  }

  /** Checks one half of one chunk, which is the {@code index}th in {@code rows}. */
  public void check(MemorySegment rows, int index, int chunk, int layer, KvHalf half, List<Run> runs) {
    long chunkBytes = chunkBytes(layer, half);
    int token = chunk * layout().chunkTokens();
    Fidelity fidelity = runs.stream()
        .filter(run -> token >= run.firstToken() && token < run.firstToken() + run.tokens())
        .map(Run::fidelity).findFirst().orElse(Fidelity.EXACT);
    assertEquals(-1, KvPayloads.mismatch(rows.asSlice(index * chunkBytes, chunkBytes), keys.get(chunk), layer,
        half, fidelity, version),
        () -> "wrong byte in " + half + " of layer " + layer + " of chunk " + chunk);
  }
}
