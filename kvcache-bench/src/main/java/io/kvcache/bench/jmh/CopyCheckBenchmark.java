package io.kvcache.bench.jmh;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.zip.CRC32C;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
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
 * In which order, and in which blocks, bytes are best copied and checked: 64 MiB a call, in turn from 512 MiB of
 * source to as much of target. What the core's checksums do was chosen by this.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 4, time = 1)
@Fork(1)
public class CopyCheckBenchmark {
  private static final int TURNS = 8;
  private static final int BYTES = 64 << 20;
  private static final int PAGE = 4096;

  @Param({"32", "64", "256", "512", "2048"})
  int blockKiB;

  private final Arena arena = Arena.ofShared();
  private final MemorySegment[] sources = new MemorySegment[TURNS];
  private final MemorySegment[] targets = new MemorySegment[TURNS];
  private int turn;

  /** Fills the sources with random bytes and touches the targets. */
  @Setup
  public void fill() {
    SplittableRandom random = new SplittableRandom(1);
    for (int at = 0; at < TURNS; at++) {
      sources[at] = arena.allocate(BYTES, 4096);
      targets[at] = arena.allocate(BYTES, 4096);
      for (long word = 0; word < BYTES; word += Long.BYTES) {
        sources[at].set(ValueLayout.JAVA_LONG, word, random.nextLong());
      }
    }
  }

  /** Frees the memory. */
  @TearDown
  public void close() {
    arena.close();
  }

  /** Each block is copied, and then the copy is checked. */
  @Benchmark
  public long copyThenCheck() {
    return run(true, true);
  }

  /** Each block is checked, and then copied. */
  @Benchmark
  public long checkThenCopy() {
    return run(false, true);
  }

  /** Blocks are only copied. */
  @Benchmark
  public long copyInBlocks() {
    return run(true, false);
  }

  /** As {@link #copyThenCheck}, but a word of every page of the next block is read first. */
  @Benchmark
  public long touchAhead() {
    turn = (turn + 1) % TURNS;
    MemorySegment source = sources[turn];
    MemorySegment target = targets[turn];
    ByteBuffer checked = target.asByteBuffer();
    int block = blockKiB << 10;
    CRC32C crc = new CRC32C();
    long touched = 0;
    for (int at = 0; at < BYTES; at += block) {
      for (int page = at + block; page < Math.min(BYTES, at + 2 * block); page += PAGE) {
        touched += source.get(ValueLayout.JAVA_LONG, page);
      }
      MemorySegment.copy(source, at, target, at, block);
      crc.update(checked.limit(at + block).position(at));
    }
    return crc.getValue() + touched;
  }

  /** As {@link #copyThenCheck}, but blocks of the two halves take turns. */
  @Benchmark
  public long twoStreams() {
    turn = (turn + 1) % TURNS;
    MemorySegment source = sources[turn];
    MemorySegment target = targets[turn];
    ByteBuffer checked = target.asByteBuffer();
    int block = blockKiB << 10;
    CRC32C[] halves = {new CRC32C(), new CRC32C()};
    for (int at = 0; at < BYTES / 2; at += block) {
      for (int half = 0; half < halves.length; half++) {
        MemorySegment.copy(source, at + half * (BYTES / 2), target, at + half * (BYTES / 2), block);
      }
      for (int half = 0; half < halves.length; half++) {
        int from = at + half * (BYTES / 2);
        halves[half].update(checked.limit(from + block).position(from));
      }
    }
    return halves[0].getValue() + halves[1].getValue();
  }

  private long run(boolean copyFirst, boolean check) {
    turn = (turn + 1) % TURNS;
    MemorySegment source = sources[turn];
    MemorySegment target = targets[turn];
    ByteBuffer checked = (copyFirst ? target : source).asByteBuffer();
    int block = blockKiB << 10;
    CRC32C crc = new CRC32C();
    for (int at = 0; at < BYTES; at += block) {
      checked.limit(at + block).position(at);
      if (check && !copyFirst) {
        crc.update(checked);
      }
      MemorySegment.copy(source, at, target, at, block);
      if (check && copyFirst) {
        crc.update(checked);
      }
    }
    return crc.getValue();
  }
}
