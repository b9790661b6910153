package io.kvcache.internal.engine;

import io.kvcache.KvHalf;
import io.kvcache.KvLease.KvKept;
import io.kvcache.LayerSpec;
import io.kvcache.internal.frame.FrameReader;
import io.kvcache.internal.prune.Gather;
import io.kvcache.internal.prune.Kept;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/** What is kept of one layer of a run, gathered chunk by chunk and then put together head by head. */
final class KeptRows {
  private static final int ALIGNMENT = 64;

  private final LayerSpec spec;
  private final int layer;
  private final int firstChunk;
  private final int chunkTokens;
  private final List<Kept> kept = new ArrayList<>();
  private final List<MemorySegment> keys = new ArrayList<>();
  private final List<MemorySegment> values = new ArrayList<>();
  private int rows;

  KeptRows(LayerSpec spec, int layer, int firstChunk, int chunkTokens) {
    this.spec = spec;
    this.layer = layer;
    this.firstChunk = firstChunk;
    this.chunkTokens = chunkTokens;
  }

  /** Adds the next chunk of the run. */
  void add(Kept chunk, FrameReader.Layer from) throws MalformedDataException {
    int count = chunk.count(layer);
    MemorySegment keyRows = decoded(from, KvHalf.KEYS, count);
    MemorySegment valueRows = decoded(from, KvHalf.VALUES, count);
    add(chunk, keyRows, valueRows);
  }

  /** Adds the next chunk of the run, its rows as {@code [kept][kvHead][dim]}. */
  void add(Kept chunk, MemorySegment keyRows, MemorySegment valueRows) {
    kept.add(chunk);
    keys.add(keyRows);
    values.add(valueRows);
    rows += chunk.count(layer);
  }

  private MemorySegment decoded(FrameReader.Layer from, KvHalf half, int count)
      throws MalformedDataException {
    MemorySegment target = allocate((long) count * spec.rowBytes(half));
    if (target.byteSize() > 0) {
      from.decodeKept(half, target);
    }
    return target;
  }

  /** The collector frees it, so that closing a lease stays cheap. */
  private static MemorySegment allocate(long bytes) {
    return Arena.ofAuto().allocate(bytes, ALIGNMENT);
  }

  KvKept gather() {
    int[][] positions = new int[spec.kvHeads()][rows];
    MemorySegment allKeys = allocate((long) rows * spec.keyRowBytes());
    MemorySegment allValues = allocate((long) rows * spec.valueRowBytes());
    int row = 0;
    for (int chunk = 0; chunk < kept.size(); chunk++) {
      int count = kept.get(chunk).count(layer);
      for (int head = 0; head < positions.length; head++) {
        int[] offsets = kept.get(chunk).positions(layer, head);
        for (int index = 0; index < count; index++) {
          positions[head][row + index] = (firstChunk + chunk) * chunkTokens + offsets[index];
        }
      }
      Gather.toHeadMajor(spec, KvHalf.KEYS, count, keys.get(chunk), allKeys, row, rows);
      if (spec.valueRowBytes() > 0) {
        Gather.toHeadMajor(spec, KvHalf.VALUES, count, values.get(chunk), allValues, row, rows);
      }
      row += count;
    }
    return new KvKept(firstChunk * chunkTokens, kept.size() * chunkTokens, positions, allKeys.asReadOnly(),
        allValues.asReadOnly());
  }
}
