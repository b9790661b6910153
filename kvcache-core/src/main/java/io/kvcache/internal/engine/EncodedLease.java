package io.kvcache.internal.engine;

import io.kvcache.ChunkKey;
import io.kvcache.Encoding;
import io.kvcache.Fidelity;
import io.kvcache.KvHalf;
import io.kvcache.KvLease;
import io.kvcache.LayerSpec;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;

/**
 * A leased context as it would be if some of its chunks were stored in another encoding: for trying it out. Nothing is
 * stored; what is read is encoded and decoded on the way. Once revoked, all reads are misses, so that whoever holds it
 * cannot keep anyone waiting.
 */
final class EncodedLease implements KvLease {
  private static final String NOWHERE = "none";

  private final Resources shared;
  private final ContextRows base;
  private final List<ChunkKey> keys;
  private final int from;
  private final int to;
  private final Trial trial;
  private boolean revoked;

  /**
   * A context of which the chunks from {@code from} up to {@code to} are encoded.
   *
   * @param base the context, of which those chunks are exact; stays the caller's
   * @param keys of the context's chunks
   * @param trial how they are encoded
   */
  EncodedLease(Resources shared, ContextRows base, List<ChunkKey> keys, int from, int to, Trial trial) {
    this.shared = shared;
    this.base = base;
    this.keys = keys;
    this.from = from;
    this.to = to;
    this.trial = trial;
  }

  /** The context as it is, which a reader can lose like any other of these. */
  static EncodedLease asIs(Resources shared, ContextRows base) {
    return new EncodedLease(shared, base, List.of(), 0, 0, new Trial(shared, Encoding.RAW, Map.of()));
  }

  /** Ends it: waits for a read under way, lets no other begin. */
  synchronized void revoke() {
    revoked = true;
  }

  /** Whether what it gives is undefined because the compressor failed. */
  boolean failed() {
    return trial.failed();
  }

  private int chunkTokens() {
    return shared.plan.layout().chunkTokens();
  }

  @Override
  public synchronized int tokens() {
    return revoked ? 0 : base.tokens();
  }

  @Override
  public Fidelity fidelity() {
    return from == to ? base.fidelity() : shared.codecs.fidelity(trial.encoding());
  }

  @Override
  public synchronized List<Run> runs() {
    List<Run> runs = new ArrayList<>();
    int firstToken = from * chunkTokens();
    int endToken = Math.min(to * chunkTokens(), base.tokens());
    for (Run run : revoked ? List.<Run>of() : base.runs()) {
      int end = run.firstToken() + run.tokens();
      addSome(runs, run, run.firstToken(), Math.min(end, firstToken));
      if (from < to && run.firstToken() <= firstToken && firstToken < end) {
        runs.add(new Run(firstToken, endToken - firstToken, NOWHERE, shared.codecs.name(trial.encoding()),
            shared.codecs.fidelity(trial.encoding()), 0));
      }
      addSome(runs, run, Math.max(run.firstToken(), endToken), end);
    }
    return runs;
  }

  private static void addSome(List<Run> runs, Run run, int first, int end) {
    if (end > first) {
      runs.add(new Run(first, end - first, run.tier(), run.codec(), run.fidelity(),
          run.storedBytes() * (end - first) / run.tokens()));
    }
  }

  @Override
  public synchronized int read(int layer, MemorySegment keyRows, MemorySegment valueRows) {
    if (revoked) {
      return 0;
    }
    int tokens = base.read(layer, keyRows, valueRows);
    LayerSpec spec = shared.plan.layout().layer(layer);
    for (int chunk = from; chunk < to && (chunk + 1) * chunkTokens() <= tokens; chunk++) {
      for (KvHalf half : KvHalf.values()) {
        long bytes = (long) chunkTokens() * spec.rowBytes(half);
        MemorySegment rows = (half == KvHalf.KEYS ? keyRows : valueRows).asSlice(chunk * bytes, bytes);
        if (trial.encoding().dropsTokens()) {
          rows.fill((byte) 0); // whoever uses what is not there must notice
        } else {
          try (Arena arena = Arena.ofConfined()) {
            rows.copyFrom(trial.rows(arena, keys.get(chunk), layer, half, rows));
          }
        }
      }
    }
    return tokens;
  }

  @Override
  public synchronized KvKept kept(Run run, int layer) {
    LayerSpec spec = shared.plan.layout().layer(Objects.checkIndex(layer, shared.plan.layers()));
    if (revoked) {
      return new KeptRows(spec, layer, run.firstToken() / chunkTokens(), chunkTokens()).gather();
    }
    if (run.firstToken() != from * chunkTokens() || !trial.encoding().dropsTokens()) {
      return base.kept(run, layer);
    }
    KeptRows rows = new KeptRows(spec, layer, from, chunkTokens());
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment keyRows = arena.allocate((long) base.tokens() * spec.keyRowBytes(), 64);
      MemorySegment valueRows = arena.allocate((long) base.tokens() * spec.valueRowBytes(), 64);
      int tokens = base.read(layer, keyRows, valueRows);
      for (int chunk = from; chunk < to && (chunk + 1) * chunkTokens() <= tokens; chunk++) {
        ChunkKey key = keys.get(chunk);
        long keyBytes = (long) chunkTokens() * spec.keyRowBytes();
        long valueBytes = (long) chunkTokens() * spec.valueRowBytes();
        rows.add(trial.kept(key),
            trial.rows(arena, key, layer, KvHalf.KEYS, keyRows.asSlice(chunk * keyBytes, keyBytes)),
            trial.rows(arena, key, layer, KvHalf.VALUES, valueRows.asSlice(chunk * valueBytes, valueBytes)));
      }
      return rows.gather();
    }
  }

  @Override
  public List<KvView> view(Run run, int layer) {
    throw new UnsupportedOperationException("what is tried out lies nowhere; read it");
  }

  @Override
  public Duration loadEstimate() {
    return Duration.ZERO;
  }

  @Override
  public Optional<Duration> recomputeEstimate() {
    return Optional.empty();
  }

  /** Does nothing: it belongs to the cache. */
  @Override
  public void close() {}
}
