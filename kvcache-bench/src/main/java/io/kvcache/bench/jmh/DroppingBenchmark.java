package io.kvcache.bench.jmh;

import io.kvcache.ChunkKey;
import io.kvcache.DType;
import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.KvHalf;
import io.kvcache.KvLayout;
import io.kvcache.LayerSpec;
import io.kvcache.internal.frame.Checksums;
import io.kvcache.internal.frame.Codecs;
import io.kvcache.internal.frame.FrameHeader;
import io.kvcache.internal.frame.FramePlan;
import io.kvcache.internal.frame.FrameReader;
import io.kvcache.internal.frame.FrameWriter;
import io.kvcache.internal.prune.Gather;
import io.kvcache.internal.prune.Kept;
import io.kvcache.internal.prune.Selection;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.MalformedDataException;
import io.kvcache.spi.TierWrite;
import io.kvcache.spi.VariantClass;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * Dropping tokens of one half of a layer of Llama-3.1-8B a call: 256 tokens of 8 heads of 128 in bf16, 512 KiB.
 * Sources, frames and targets rotate over 512 MiB each, but for frames of which little is kept. Encoding is compared
 * with {@link #copy}, decoding with {@link #copyStored}, which is what a raw frame's takes for as many stored bytes.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(value = 1, jvmArgs = "--enable-native-access=ALL-UNNAMED")
public class DroppingBenchmark {
  private static final KvLayout LAYOUT = KvLayout.uniform(32, 8, 128, DType.BF16).withChunkTokens(256);
  private static final LayerSpec LAYER = LAYOUT.layer(0);
  private static final int LAYERS = LAYOUT.layers().size();
  private static final int HALF_BYTES = 256 * LAYER.keyRowBytes();
  private static final int CHUNKS = 16;
  private static final int PREAMBLE_BYTES = 64;
  private static final int HALVES = CHUNKS * 2 * LAYERS;
  private static final ChunkKey KEY = new ChunkKey(1, 2, 3, 4);
  private static final EntryId ID = new EntryId(KEY, VariantClass.SERVING);

  /** Share of the tokens kept. */
  @Param({"50", "25"})
  public int percent;

  /** Whether all heads keep the same. */
  @Param({"false", "true"})
  public boolean uniform;

  private final FramePlan plan = new FramePlan(LAYOUT, new byte[0]);
  private final Codecs codecs = new Codecs(List.of(), LAYOUT);
  private Arena arena;
  /** Halves one after the other, and what of the targets their kept rows take. */
  private final MemorySegment[] sources = new MemorySegment[HALVES];
  private final MemorySegment[] targets = new MemorySegment[HALVES];
  private final MemorySegment[] keptTargets = new MemorySegment[HALVES];
  private Kept[] kept;
  private final List<FrameWriter> writers = new ArrayList<>();
  private final List<Frame> frames = new ArrayList<>();
  private int next;

  /** A frame that can be read. */
  private record Frame(FrameReader reader, MemoryWrite parts) {}

  /** An entry in memory of its own. */
  private record MemoryWrite(MemorySegment[] parts) implements TierWrite {
    @Override
    public MemorySegment part(int index) {
      return parts[index];
    }

    @Override
    public void commit(long[] partBytes) {}

    @Override
    public void close() {}
  }

  /** Fills sources and frames. */
  @Setup(Level.Trial)
  public void fill() throws IOException, MalformedDataException {
    arena = Arena.ofShared();
    SplittableRandom random = new SplittableRandom(1);
    for (int half = 0; half < HALVES; half++) {
      sources[half] = arena.allocate(HALF_BYTES, 4096);
      targets[half] = arena.allocate(HALF_BYTES, 4096).fill((byte) 1);
      for (long at = 0; at < HALF_BYTES; at += Long.BYTES) {
        sources[half].set(ValueLayout.JAVA_LONG, at, random.nextLong());
      }
    }
    Encoding encoding = uniform ? Encoding.RAW.keepingUniformly(DropMethod.KVZIP, percent)
        : Encoding.RAW.keeping(DropMethod.KVZIP, percent);
    kept = Selection.kept(LAYOUT, scores(random), encoding);
    for (int half = 0; half < HALVES; half++) {
      keptTargets[half] = targets[half].asSlice(0, keptBytes(half));
    }
    Compressor raw = codecs.get(Encoding.RAW.codec());
    for (int frame = 0; frame < CHUNKS * 100 / percent; frame++) {
      Kept keeps = kept[frame % CHUNKS];
      MemoryWrite written = memory(plan.maxPartBytes(raw, keeps));
      FrameWriter writer = new FrameWriter(plan, raw, written, keeps);
      for (int layer = 0; layer < LAYERS; layer++) {
        for (KvHalf half : KvHalf.values()) {
          writer.encode(layer, half, sources[((frame % CHUNKS) * LAYERS + layer) * 2 + half.ordinal()]);
        }
      }
      writer.commit(FrameHeader.Fields.original(ID, frame, KEY, KEY, 0, encoding, raw.parameters(), 0, 0));
      FrameHeader header = FrameHeader.read(plan, written.part(0), ID, frame);
      frames.add(new Frame(new FrameReader(header, codecs, ID, frame), written));
      if (frame < CHUNKS) {
        writers.add(new FrameWriter(plan, raw, memory(plan.maxPartBytes(raw, keeps)), keeps));
      }
    }
  }

  private MemoryWrite memory(long... partBytes) {
    MemorySegment[] parts = new MemorySegment[partBytes.length];
    for (int part = 0; part < parts.length; part++) {
      parts[part] = arena.allocate(partBytes[part], 4096);
    }
    return new MemoryWrite(parts);
  }

  private static float[][][] scores(SplittableRandom random) {
    float[][][] scores = new float[LAYERS][LAYER.kvHeads()][CHUNKS * LAYOUT.chunkTokens()];
    for (float[][] heads : scores) {
      for (float[] head : heads) {
        for (int token = 0; token < head.length; token++) {
          head[token] = (float) random.nextDouble();
        }
      }
    }
    return scores;
  }

  /** Gives the memory back. */
  @TearDown(Level.Trial)
  public void release() {
    arena.close();
  }

  private int next(int turns) {
    next = (next + 1) % turns;
    return next;
  }

  private static int chunk(int turn) {
    return turn / (2 * LAYERS);
  }

  private static int layer(int turn) {
    return turn / 2 % LAYERS;
  }

  private static KvHalf half(int turn) {
    return turn % 2 == 0 ? KvHalf.KEYS : KvHalf.VALUES;
  }

  /** The yardstick of encoding: all 512 KiB. */
  @Benchmark
  public MemorySegment copy() {
    int turn = next(HALVES);
    return targets[turn].copyFrom(sources[turn]);
  }

  /** The rows kept, moved. */
  @Benchmark
  public MemorySegment gather() {
    int turn = next(HALVES);
    Gather.rows(LAYER, half(turn), sources[turn], kept[chunk(turn)], layer(turn), targets[turn]);
    return targets[turn];
  }

  /** The same into a frame, with the checksums of what was and of what is stored. */
  @Benchmark
  public long encode() {
    int turn = next(HALVES);
    return writers.get(chunk(turn)).encode(layer(turn), half(turn), sources[turn]);
  }

  /** The yardstick of decoding: what is stored, copied and its checksum computed. */
  @Benchmark
  public int copyStored() {
    int turn = next(frames.size() * 2 * LAYERS);
    MemorySegment target = keptTargets[turn % HALVES];
    MemorySegment part = frames.get(chunk(turn)).parts.part(plan.partOf(layer(turn)));
    long from = PREAMBLE_BYTES + (half(turn) == KvHalf.KEYS ? 0 : target.byteSize());
    return Checksums.copy(part.asSlice(from, target.byteSize()), target);
  }

  /** The rows of a frame that lacks tokens, verified. */
  @Benchmark
  public MemorySegment decode() throws MalformedDataException {
    int turn = next(frames.size() * 2 * LAYERS);
    MemorySegment target = keptTargets[turn % HALVES];
    Frame frame = frames.get(chunk(turn));
    frame.reader.layer(frame.parts.part(plan.partOf(layer(turn))), layer(turn)).decodeKept(half(turn),
        target);
    return target;
  }

  private long keptBytes(int turn) {
    return (long) kept[chunk(turn)].count(layer(turn)) * LAYER.keyRowBytes();
  }
}
