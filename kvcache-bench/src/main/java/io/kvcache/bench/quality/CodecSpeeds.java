package io.kvcache.bench.quality;

import io.kvcache.Encoding;
import io.kvcache.KvHalf;
import io.kvcache.KvLayout;
import io.kvcache.KvShape;
import io.kvcache.LayerSpec;
import io.kvcache.bench.model.KvState;
import io.kvcache.compress.Compressors;
import io.kvcache.internal.frame.Checksums;
import io.kvcache.internal.prune.Gather;
import io.kvcache.internal.prune.Kept;
import io.kvcache.internal.prune.Selection;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/**
 * How fast KV is encoded and decoded by one thread, checksums included, on the halves that a model computed, which are
 * small where the model is. Sources and targets take turns over more than caches hold.
 */
final class CodecSpeeds implements AutoCloseable {
  /** Tokens of a half, as a cache has unless it is told otherwise. */
  private static final int CHUNK_TOKENS = 256;
  /** More than caches hold. */
  static final long ROTATION_BYTES = 128L << 20;
  private static final long ROUND_NANOS = 200_000_000;
  private static final int ROUNDS = 3;

  private final Arena arena = Arena.ofShared();
  private final KvLayout layout;
  private final List<Half> halves = new ArrayList<>();
  private final Map<Rate, Speed> known = new HashMap<>();
  private final long rotationBytes;
  private long bytes;

  /** GB of uncompressed bytes a second, of all tokens whether they are kept or not. */
  record Speed(double encode, double decode) {}

  /** What speed depends on: methods of dropping differ in what is kept, not in how much. */
  private record Rate(int codec, int retainedPercent) {}

  private record Half(int layer, KvHalf half, MemorySegment source, MemorySegment target) {}

  /**
   * Of KV in this layout, of which there is none yet.
   *
   * @param rotationBytes of sources to take turns over, and of targets as many
   */
  CodecSpeeds(KvLayout layout, long rotationBytes) {
    this.rotationBytes = rotationBytes;
    this.layout = layout.withChunkTokens(CHUNK_TOKENS);
  }

  /** Whether there is KV for all of the rotation. */
  boolean full() {
    return bytes >= rotationBytes;
  }

  /** Takes in the first tokens of a state, until {@link #full}. */
  void add(KvState state) {
    for (int layer = 0; layer < layout.layers().size(); layer++) {
      for (KvHalf half : KvHalf.values()) {
        long size = layout.layer(layer).shape(half, CHUNK_TOKENS).bytes();
        MemorySegment rows = half == KvHalf.KEYS ? state.keys(layer) : state.values(layer);
        MemorySegment source = arena.allocate(size, 64).copyFrom(rows.asSlice(0, size));
        halves.add(new Half(layer, half, source, arena.allocate(size, 64).fill((byte) 1)));
        bytes += size;
      }
    }
  }

  /** The speed of an encoding; measured when it is first asked for. */
  Speed of(Encoding encoding) {
    return known.computeIfAbsent(new Rate(encoding.codec(), encoding.retainedPercent()), this::measure);
  }

  private Speed measure(Rate rate) {
    Compressor codec =
        Compressors.all().stream().filter(each -> each.codec() == rate.codec).findFirst().orElse(null);
    Kept kept = rate.retainedPercent == 100 ? null : someTokens(rate.retainedPercent);
    try (Arena rooms = Arena.ofShared()) {
      MemorySegment[] room = new MemorySegment[halves.size()];
      MemorySegment[] stored = new MemorySegment[halves.size()];
      Arrays.setAll(room, at -> rooms.allocate(shape(halves.get(at), null, codec), 64).fill((byte) 1));
      MemorySegment gathered = rooms.allocate(halves.stream().mapToLong(half -> half.source.byteSize()).max()
          .orElseThrow(), 64);
      double encode = best(at -> stored[at] = encode(codec, kept, halves.get(at), gathered, room[at]));
      double decode = best(at -> decode(codec, kept, halves.get(at), stored[at]));
      return new Speed(encode, decode);
    }
  }

  private long shape(Half half, Kept kept, Compressor codec) {
    KvShape shape = shape(half, kept);
    return codec == null ? shape.bytes() : codec.maxStoredBytes(shape);
  }

  private KvShape shape(Half half, Kept kept) {
    LayerSpec spec = layout.layer(half.layer);
    return spec.shape(half.half, kept == null ? CHUNK_TOKENS : kept.count(half.layer));
  }

  private Kept someTokens(int percent) {
    SplittableRandom random = new SplittableRandom(1);
    long[][][][] selected = new long[layout.layers().size()][][][];
    for (int layer = 0; layer < selected.length; layer++) {
      float[][] ranking = new float[layout.layer(layer).kvHeads()][CHUNK_TOKENS];
      for (float[] head : ranking) {
        for (int token = 0; token < head.length; token++) {
          head[token] = random.nextFloat();
        }
      }
      selected[layer] = Selection.select(ranking, CHUNK_TOKENS, percent);
    }
    return Kept.perChunk(layout, selected)[0];
  }

  /** As a cache does it: checksums of content and of what is stored. */
  private MemorySegment encode(Compressor codec, Kept kept, Half half, MemorySegment gathered,
      MemorySegment room) {
    KvShape shape = shape(half, kept);
    MemorySegment rows = half.source;
    if (kept != null) {
      Checksums.crc(half.source);
      rows = (codec == null ? room : gathered).asSlice(0, shape.bytes());
      Gather.rows(layout.layer(half.layer), half.half, half.source, kept, half.layer, rows);
    } else if (codec != null) {
      Checksums.crc(half.source);
    }
    if (codec != null) {
      MemorySegment stored = room.asSlice(0, codec.compress(shape, rows, room));
      Checksums.crc(stored);
      return stored;
    }
    if (kept == null) {
      Checksums.copy(rows, room);
      return room;
    }
    Checksums.crc(rows);
    return rows;
  }

  private void decode(Compressor codec, Kept kept, Half half, MemorySegment stored) {
    KvShape shape = shape(half, kept);
    MemorySegment target = half.target.asSlice(0, shape.bytes());
    if (codec == null) {
      Checksums.copy(stored, target);
      return;
    }
    Checksums.crc(stored);
    try {
      codec.decompress(shape, codec.parameters(), stored, target);
    } catch (MalformedDataException e) {
      throw new IllegalStateException(codec.name() + " does not read what it wrote", e);
    }
  }

  private interface Work {
    void on(int half);
  }

  /** GB/s in the best of some rounds, each at least once over all halves, after one to warm up. */
  private double best(Work work) {
    double best = 0;
    for (int round = 0; round <= ROUNDS; round++) {
      long start = System.nanoTime();
      long done = 0;
      long nanos;
      do {
        for (int at = 0; at < halves.size(); at++) {
          work.on(at);
        }
        done += bytes;
        nanos = System.nanoTime() - start;
      } while (nanos < ROUND_NANOS);
      best = round == 0 ? 0 : Math.max(best, (double) done / nanos);
    }
    return best;
  }

  @Override
  public void close() {
    arena.close();
  }
}
