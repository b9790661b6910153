package io.kvcache.bench.jmh;

import io.kvcache.DType;
import io.kvcache.KvHalf;
import io.kvcache.KvShape;
import io.kvcache.compress.Compressors;
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
 * One half of a layer of Llama-3.1-8B a call: 256 tokens of 8 heads of 128, 512 KiB. Sources and targets
 * rotate over 512 MiB each, so that nothing is served from a cache that a request would not find warm. GB/s =
 * 524.288 / (µs/op) / 1000 of uncompressed bytes; {@link #copy} is what the rest is compared with.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(value = 1, jvmArgs = "--enable-native-access=ALL-UNNAMED")
public class CodecBenchmark {
  private static final int HALVES = 1024;

  /** Halves with values of their own; the rest of the rotation repeats them. */
  private static final int DISTINCT = 8;

  /** Name of the codec, as {@link Compressor#name} gives it. */
  @Param({"lz4", "zstd", "int8exact", "int4exact", "int8", "int4"})
  public String codec;

  /** Element type. */
  @Param({"BF16", "F16"})
  public DType dtype;

  /** Keys have outlier channels, values do not. */
  @Param({"KEYS", "VALUES"})
  public KvHalf half;

  private Arena arena;
  private KvShape shape;
  private Compressor compressor;
  private final MemorySegment[] sources = new MemorySegment[HALVES];
  private final MemorySegment[] targets = new MemorySegment[HALVES];
  private final MemorySegment[] rooms = new MemorySegment[HALVES];
  private final MemorySegment[] stored = new MemorySegment[HALVES];
  private int next;

  /** Fills the rotation. */
  @Setup(Level.Trial)
  public void fill() {
    arena = Arena.ofShared();
    shape = new KvShape(half, 256, 8, 128, dtype);
    compressor =
        Compressors.all().stream().filter(c -> c.name().equals(codec)).findFirst().orElseThrow();
    Random random = new Random(20261123);
    for (int i = 0; i < HALVES; i++) {
      sources[i] = arena.allocate(shape.bytes(), 64);
      targets[i] = arena.allocate(shape.bytes(), 64).fill((byte) 1);
      rooms[i] = arena.allocate(compressor.maxStoredBytes(shape), 64);
      if (i < DISTINCT) {
        fillRealistically(sources[i], random);
      } else {
        sources[i].copyFrom(sources[i % DISTINCT]);
      }
      stored[i] = rooms[i].asSlice(0, compressor.compress(shape, sources[i], rooms[i]));
    }
    System.out.printf("%n# stored fraction %.3f%n", (double) stored[0].byteSize() / shape.bytes());
  }

  /** Gaussian channels of different spread and mean; in keys three channels of every head stand far out. */
  private void fillRealistically(MemorySegment source, Random random) {
    float[] mean = new float[shape.channels()];
    float[] spread = new float[shape.channels()];
    for (int channel = 0; channel < mean.length; channel++) {
      spread[channel] = (float) Math.exp(0.5 * random.nextGaussian());
      if (half == KvHalf.KEYS) {
        boolean outlier = channel % shape.dim() < 3;
        mean[channel] = outlier ? 20 : (float) (1.5 * spread[channel] * random.nextGaussian());
      }
    }
    for (long i = 0; i < shape.elements(); i++) {
      int channel = (int) (i % mean.length);
      float value = (float) random.nextGaussian() * spread[channel] + mean[channel];
      int bits = Float.floatToRawIntBits(value);
      source.setAtIndex(ValueLayout.JAVA_SHORT, i,
          dtype == DType.F16 ? Float.floatToFloat16(value) : (short) (bits + 0x8000 >>> 16));
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

  /** Compresses one half. */
  @Benchmark
  public long encode() {
    int i = next();
    return compressor.compress(shape, sources[i], rooms[i]);
  }

  /** Decompresses one half. */
  @Benchmark
  public MemorySegment decode() throws MalformedDataException {
    int i = next();
    compressor.decompress(shape, compressor.parameters(), stored[i], targets[i]);
    return targets[i];
  }

  private int next() {
    next = (next + 1) % HALVES;
    return next;
  }
}
