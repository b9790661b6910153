package io.kvcache.internal.engine;

import io.kvcache.ChunkKey;
import io.kvcache.internal.frame.EntryNote;
import io.kvcache.internal.tree.Position;
import io.kvcache.internal.tree.PrefixTree;
import io.kvcache.internal.tree.Segment;
import io.kvcache.internal.tree.Stored;
import io.kvcache.spi.EntryId;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Puts what durable tiers hold back into the prefix tree: first every chunk behind the one it follows, then the
 * entries in the order in which they were last used, which is what the policy is rebuilt from.
 */
final class Recovery {
  private static final Comparator<Recovered> LEAST_RECENT_AND_DEEPEST_FIRST =
      Comparator.comparingLong((Recovered entry) -> -entry.idleNanos())
          .thenComparingInt(entry -> -entry.note().chunkIndex());

  private final PrefixTree tree;
  private final long nowNanos;
  private final int candidates;
  private final int candidateCount;
  private final Map<ChunkKey, Position> positions = new HashMap<>();
  /** What the chunks of a segment say of its losses: they may come from segments that were measured apart. */
  private final Map<Segment, Map<Position, float[]>> profiles = new LinkedHashMap<>();

  /** An entry found at a warm restart. */
  record Recovered(EntryId id, EntryNote note, int tier, long bytes, long idleNanos) {
    Stored stored() {
      return new Stored(tier, note.encoding(), id.variantClass(), note.generation(), bytes);
    }
  }

  /**
   * A recovery into an empty tree.
   *
   * @param candidates stands for the list of encodings that profiles have to be about
   * @param candidateCount how many those are
   */
  Recovery(PrefixTree tree, long nowNanos, int candidates, int candidateCount) {
    this.tree = tree;
    this.nowNanos = nowNanos;
    this.candidates = candidates;
    this.candidateCount = candidateCount;
  }

  void restore(List<Recovered> recovered) {
    List<Recovered> byDepth = new ArrayList<>(recovered);
    byDepth.sort(Comparator.comparingInt(entry -> entry.note().chunkIndex()));
    for (Recovered entry : byDepth) {
      positions.computeIfAbsent(entry.id().key(), key -> position(entry));
    }
    tree.restored();
    List<Recovered> byUse = new ArrayList<>(recovered);
    byUse.sort(LEAST_RECENT_AND_DEEPEST_FIRST);
    for (Recovered entry : byUse) {
      Position position = positions.get(entry.id().key());
      position.segment().restoreUse(entry.note().frequency(), entry.note().uses(),
          nowNanos - entry.idleNanos());
      position.segment().scored(entry.note().scored());
      float[] losses = entry.note().profile().lossPerChunk();
      if (losses.length == candidateCount && losses.length > 0
          && entry.note().profile().candidates() == candidates) {
        profiles.computeIfAbsent(position.segment(), segment -> new LinkedHashMap<>()).put(position, losses);
      }
      tree.place(position, entry.stored());
    }
    profiles.forEach((segment, all) -> {
      // What some chunks lose says nothing of the others: such a segment is measured anew.
      if (all.size() == segment.chunks()) {
        tree.profile(segment, mean(all.values()));
      }
    });
  }

  private static float[] mean(Collection<float[]> all) {
    float[] mean = new float[all.iterator().next().length];
    for (int candidate = 0; candidate < mean.length; candidate++) {
      double sum = 0;
      for (float[] losses : all) {
        sum += losses[candidate];
      }
      // Rounding must not make it more than all: a note with such a loss is not read again.
      mean[candidate] = Math.min(1, (float) (sum / all.size()));
    }
    return mean;
  }

  private Position position(Recovered entry) {
    ChunkKey root = entry.note().root();
    ChunkKey previous = entry.note().previous();
    int index = entry.note().chunkIndex();
    Position before = index == 0 ? null : positions.get(previous);
    boolean follows = before != null && before.chunk() == index - 1 && before.segment().root().equals(root);
    return tree.restore(root, previous, follows ? before : null, index, entry.id().key());
  }
}
