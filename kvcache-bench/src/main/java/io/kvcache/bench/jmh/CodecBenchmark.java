package io.kvcache.bench.jmh;

import io.kvcache.DType;
import io.kvcache.KvHalf;
import io.kvcache.KvShape;
import io.kvcache.compress.Compressors;
import io.kvcache.internal.frame.Checksums;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
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
 * One half of a layer of Llama-3.1-8B a call: 256 tokens of 8 heads of 128, 512 KiB, or 1 MiB of F32. Sources and
 * targets rotate over 512 MiB each, so that nothing is served from a cache that a request would not find warm.
 * Checksums are taken as the cache takes them: of what is stored before it is decoded; of that and of the content when
 * it is encoded. {@link CodecTable} makes GB/s of the times, and shares of {@link #copy}, which is of the uncompressed
 * bytes.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(value = 1, jvmArgs = "--enable-native-access=ALL-UNNAMED")
public class CodecBenchmark {
  private static final long ROTATION_BYTES = 512L << 20;
  private static final long SEED = 20261123;

  /** Halves with values of their own; the rest of the rotation repeats them. */
  private static final int DISTINCT = 8;

  /** Name of the codec, as {@link Compressor#name} gives it; {@code kvcache-bench jmh} fills in all there are. */
  @Param("int8")
  public String codec;

  /** Element type. */
  @Param({"BF16", "F16", "F32"})
  public DType dtype;

  /** Keys have outlier channels, values do not. */
  @Param({"KEYS", "VALUES"})
  public KvHalf half;

  private Arena arena;
  private KvShape shape;
  private Compressor compressor;
  private MemorySegment[] sources;
  private MemorySegment[] targets;
  private MemorySegment[] rooms;
  private MemorySegment[] stored;
  private int next;

  static KvShape shape(KvHalf half, DType dtype) {
    return new KvShape(half, 256, 8, 128, dtype);
  }

  static Compressor codec(String name) {
    return Compressors.all().stream().filter(codec -> codec.name().equals(name)).findFirst()
        .orElseThrow(() -> new IllegalArgumentException(
            "no codec is called '" + name + "'; there are " + CodecTable.codecs()));
  }

  /** What is stored of the benchmark's content, as a share of it. */
  static double storedFraction(Compressor compressor, KvShape shape) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment source = arena.allocate(shape.bytes(), 64);
      fillRealistically(shape, source, new Random(SEED));
      MemorySegment room = arena.allocate(compressor.maxStoredBytes(shape), 64);
      return (double) compressor.compress(shape, source, room) / shape.bytes();
    }
  }

  /** Fills the rotation. */
  @Setup(Level.Trial)
  public void fill() {
    arena = Arena.ofShared();
    shape = shape(half, dtype);
    compressor = codec(codec);
    int halves = (int) (ROTATION_BYTES / shape.bytes());
    sources = new MemorySegment[halves];
    targets = new MemorySegment[halves];
    rooms = new MemorySegment[halves];
    stored = new MemorySegment[halves];
    Random random = new Random(SEED);
    for (int i = 0; i < halves; i++) {
      sources[i] = arena.allocate(shape.bytes(), 64);
      targets[i] = arena.allocate(shape.bytes(), 64).fill((byte) 1);
      rooms[i] = arena.allocate(compressor.maxStoredBytes(shape), 64);
      long bytes;
      if (i < DISTINCT) {
        fillRealistically(shape, sources[i], random);
        bytes = compressor.compress(shape, sources[i], rooms[i]);
      } else {
        sources[i].copyFrom(sources[i % DISTINCT]);
        bytes = stored[i % DISTINCT].byteSize();
        MemorySegment.copy(stored[i % DISTINCT], 0, rooms[i], 0, bytes);
      }
      stored[i] = rooms[i].asSlice(0, bytes);
    }
  }

  /** Gaussian channels of different spread and mean; in keys three channels of every head stand far out. */
  private static void fillRealistically(KvShape shape, MemorySegment source, Random random) {
    float[] mean = new float[shape.channels()];
    float[] spread = new float[shape.channels()];
    for (int channel = 0; channel < mean.length; channel++) {
      spread[channel] = (float) Math.exp(0.5 * random.nextGaussian());
      if (shape.half() == KvHalf.KEYS) {
        boolean outlier = channel % shape.dim() < 3;
        mean[channel] = outlier ? 20 : (float) (1.5 * spread[channel] * random.nextGaussian());
      }
    }
    for (long i = 0; i < shape.elements(); i++) {
      int channel = (int) (i % mean.length);
      float value = (float) random.nextGaussian() * spread[channel] + mean[channel];
      switch (shape.dtype()) {
        case BF16 ->
            source.setAtIndex(ValueLayout.JAVA_SHORT, i,
                (short) (Float.floatToRawIntBits(value) + 0x8000 >>> 16));
        case F16 -> source.setAtIndex(ValueLayout.JAVA_SHORT, i, Float.floatToFloat16(value));
        case F32 -> source.setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
        case FP8, OPAQUE -> throw new IllegalArgumentException(shape.dtype() + " is not measured");
      }
    }
  }

  /** Gives the memory back. */
  @TearDown(Level.Trial)
  public void release() {
    arena.close();
  }

  /** The yardstick. */
  @Benchmark
  public MemorySegment copy() {
    int i = next();
    return targets[i].copyFrom(sources[i]);
  }

  /** Compresses one half, and takes the checksums of content and stored bytes. */
  @Benchmark
  public long encode() {
    int i = next();
    long bytes = compressor.compress(shape, sources[i], rooms[i]);
    return (long) Checksums.crc(rooms[i].asSlice(0, bytes)) << 32 | Checksums.crc(sources[i]);
  }

  /** Verifies and decompresses one half. */
  @Benchmark
  public int decode() throws MalformedDataException {
    int i = next();
    int crc = Checksums.crc(stored[i]);
    compressor.decompress(shape, compressor.parameters(), stored[i], targets[i]);
    return crc;
  }

  private int next() {
    next = (next + 1) % sources.length;
    return next;
  }
}
