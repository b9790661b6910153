package io.kvcache.internal.engine;

import io.kvcache.ChunkKey;
import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.KvHalf;
import io.kvcache.LayerSpec;
import io.kvcache.internal.engine.Inventory.Resident;
import io.kvcache.internal.frame.ChunkScores;
import io.kvcache.internal.frame.FrameReader;
import io.kvcache.internal.prune.Kept;
import io.kvcache.internal.prune.Scorer;
import io.kvcache.internal.prune.Selection;
import io.kvcache.internal.tree.Position;
import io.kvcache.internal.tree.Stored;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Chooses which tokens of a segment are kept. It sees all chunks of the segment before any is written, since what a
 * chunk may keep is decided over the segment.
 */
final class Pruner {
  private static final int ALIGNMENT = 64;

  private final Resources shared;
  private final Staging staging;

  /** For the mover. */
  Pruner(Resources shared) {
    this(shared, shared.moverStaging);
  }

  /** Reads by way of one buffer of {@code staging} at a time. */
  Pruner(Resources shared, Staging staging) {
    this.shared = shared;
    this.staging = staging;
  }

  /** A chunk that is read from its exact entry. */
  record Exact(Position position, ChunkKey key, Stored stored) {}

  /**
   * The kept tokens of every chunk that has an exact entry in {@code tier}.
   *
   * @return empty when not all of those can be read, or lack the scores that the method needs
   */
  Map<ChunkKey, Kept> choose(List<Resident> chunks, int tier, Encoding encoding) {
    List<Exact> exact = new ArrayList<>();
    for (Resident chunk : chunks) {
      for (Stored stored : chunk.stored()) {
        if (stored.tier() == tier && shared.codecs.supports(stored.encoding())
            && shared.codecs.exact(stored.encoding())) {
          exact.add(new Exact(chunk.position(), chunk.key(), stored));
        }
      }
    }
    return select(exact, rank(exact, encoding.dropping()), encoding);
  }

  /**
   * The kept tokens of consecutive chunks; empty where there are none.
   *
   * @param scores what {@link #rank} gave for the encoding's method
   */
  Map<ChunkKey, Kept> select(List<Exact> exact, float[][][] scores, Encoding encoding) {
    if (exact.isEmpty() || scores == null) {
      return Map.of();
    }
    Kept[] perChunk = Selection.kept(shared.plan.layout(), scores, encoding);
    Map<ChunkKey, Kept> kept = new HashMap<>();
    for (int index = 0; index < perChunk.length; index++) {
      kept.put(exact.get(index).key, perChunk[index]);
    }
    return kept;
  }

  /** Scores of every token, by layer and head; null when not all chunks can be read, or lack what the method needs. */
  float[][][] rank(List<Exact> exact, DropMethod method) {
    return exact.isEmpty() ? null : method.needsScores() ? given(exact, method) : byKeys(exact, method);
  }

  /** Part by part, so that the keys of a few layers at most are in memory at once. */
  private float[][][] byKeys(List<Exact> exact, DropMethod method) {
    float[][][] scores = new float[shared.plan.layers()][][];
    int layer = 0;
    for (int part = 1; part < shared.plan.parts(); part++) {
      int first = layer;
      while (layer < scores.length && shared.plan.partOf(layer) == part) {
        layer++;
      }
      try (Arena arena = Arena.ofConfined()) {
        List<List<MemorySegment>> keys = new ArrayList<>();
        for (int each = first; each < layer; each++) {
          keys.add(new ArrayList<>());
        }
        for (Exact chunk : exact) {
          if (!readKeys(chunk, part, first, keys, arena)) {
            return null;
          }
        }
        for (int each = first; each < layer; each++) {
          scores[each] = Scorer.score(method, shared.plan.layout().layer(each), chunkTokens(),
              exact.getFirst().position.chunk() * chunkTokens(), keys.get(each - first));
        }
      }
    }
    return scores;
  }

  private int chunkTokens() {
    return shared.plan.layout().chunkTokens();
  }

  private boolean readKeys(Exact chunk, int part, int firstLayer, List<List<MemorySegment>> keys,
      Arena arena) {
    return read(chunk, (reader, parts) -> {
      if (!parts.read(part)) {
        return false;
      }
      for (int index = 0; index < keys.size(); index++) {
        LayerSpec spec = shared.plan.layout().layer(firstLayer + index);
        MemorySegment rows = arena.allocate((long) chunkTokens() * spec.keyRowBytes(), ALIGNMENT);
        reader.layer(parts.segment(), firstLayer + index).decode(KvHalf.KEYS, rows);
        keys.get(index).add(rows);
      }
      return true;
    });
  }

  private float[][][] given(List<Exact> exact, DropMethod method) {
    float[][][] scores = new float[shared.plan.layers()][][];
    for (int layer = 0; layer < scores.length; layer++) {
      scores[layer] =
          new float[shared.plan.layout().layer(layer).kvHeads()][exact.size() * chunkTokens()];
    }
    for (int index = 0; index < exact.size(); index++) {
      if (!readScores(exact.get(index), method, scores, index * chunkTokens())) {
        return null;
      }
    }
    return scores;
  }

  private boolean readScores(Exact chunk, DropMethod method, float[][][] scores, int at) {
    return read(chunk, (reader, parts) -> {
      if (!reader.header().scored().contains(method) || !parts.read(shared.plan.parts())) {
        return false;
      }
      ChunkScores given = reader.scores(parts.segment());
      for (int layer = 0; layer < scores.length; layer++) {
        for (int head = 0; head < scores[layer].length; head++) {
          float[] row = given.of(method, layer, head);
          System.arraycopy(row, 0, scores[layer][head], at, row.length);
        }
      }
      return true;
    });
  }

  /** Something done with the parts of an entry, the first of which has been read; false when it cannot be. */
  private interface Step {
    boolean take(FrameReader reader, PartReader parts) throws MalformedDataException;
  }

  private boolean read(Exact exact, Step step) {
    EntryId id = new EntryId(exact.key, exact.stored.variantClass());
    try (Source source = Source.open(shared, id, exact.stored)) {
      if (source == null) {
        shared.missing(exact.position, id, exact.stored);
        return false;
      }
      try (PartReader parts = new PartReader(shared, staging, exact.position, source)) {
        return parts.read(0) && step.take(source.reader(), parts);
      }
    } catch (MalformedDataException e) {
      shared.corrupt(exact.position, id, exact.stored, e);
      return false;
    }
  }
}
