package io.kvcache.testkit;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.DType;
import io.kvcache.KvHalf;
import io.kvcache.KvShape;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * What every {@link Compressor} must do: extend, return a codec, inherit the tests. A codec that is not
 * lossless says with {@link #assertFaithful} how far its results may be off. {@code -Dtest.seed} replays a
 * failure.
 */
public abstract class CompressorContract {
  private static final long SEED = Long.getLong("test.seed", 20261123);
  private static final byte CANARY = (byte) 0xa5;
  private static final int MARGIN = 64;

  /** The codec under test. */
  protected abstract Compressor newCompressor();

  /** Fails when {@code decoded} is further from {@code source} than the codec promises. */
  protected void assertFaithful(KvShape shape, MemorySegment source, MemorySegment decoded) {
    assertTrue(newCompressor().fidelity().exact(), "a lossy codec overrides assertFaithful");
    assertEquals(-1, source.mismatch(decoded), () -> "first byte that differs, " + shape);
  }

  /** Full and partial groups, odd widths, one token, no channels; every type and half. */
  static Stream<KvShape> shapes() {
    int[][] sizes = {
      {16, 2, 8}, {256, 1, 64}, {64, 4, 32}, {5, 3, 7}, {33, 2, 40}, {1, 1, 1}, {65, 5, 13}, {3, 2, 0}
    };
    List<KvShape> shapes = new ArrayList<>();
    for (int[] size : sizes) {
      for (DType dtype : DType.values()) {
        for (KvHalf half : KvHalf.values()) {
          shapes.add(new KvShape(half, size[0], size[1], size[2], dtype));
        }
      }
    }
    return shapes.stream();
  }

  @Test
  void statesWhatItIs() {
    Compressor codec = newCompressor();
    assertTrue(codec.codec() >= 1 && codec.codec() <= 65535, "codec " + codec.codec());
    assertFalse(codec.name().isBlank());
    assertTrue(codec.nominalQuality() > 0 && codec.nominalQuality() <= 1);
    assertEquals(codec.fidelity().exact(), codec.nominalQuality() == 1);
    assertTrue(shapes().anyMatch(codec::supports));
  }

  /** Goal: faithful results and no byte outside the segments. Method: canaries around all of them. */
  @ParameterizedTest
  @MethodSource("shapes")
  void comesBackFaithfully(KvShape shape) throws MalformedDataException {
    if (!newCompressor().supports(shape)) {
      return;
    }
    for (KvSamples sample : KvSamples.values()) {
      MemorySegment source = sample.fill(shape, SEED);
      try (Arena arena = Arena.ofConfined()) {
        for (Allocation allocation : Allocation.values()) {
          MemorySegment decoded = roundTrip(shape, source, allocation, arena);
          assertFaithful(shape, source, decoded);
        }
      }
    }
  }

  private MemorySegment roundTrip(KvShape shape, MemorySegment source, Allocation allocation, Arena arena)
      throws MalformedDataException {
    Compressor codec = newCompressor();
    long most = codec.maxStoredBytes(shape);
    assertTrue(most >= 1, "maxStoredBytes " + most);
    long usual = codec.usualStoredBytes(shape);
    assertTrue(usual >= 1 && usual <= most, "usualStoredBytes " + usual + " of " + most);
    Guarded in = new Guarded(allocation, arena, shape.bytes());
    in.inner().copyFrom(source);
    Guarded stored = new Guarded(allocation, arena, most);
    Guarded out = new Guarded(allocation, arena, shape.bytes());
    long bytes = codec.compress(shape, in.inner().asReadOnly(), stored.inner());
    assertTrue(bytes >= 1 && bytes <= most, bytes + " bytes stored, at most " + most);
    assertEquals(-1, source.mismatch(in.inner()), "source changed");
    MemorySegment written = stored.inner().asSlice(0, bytes).asReadOnly();
    codec.decompress(shape, codec.parameters(), written, out.inner());
    in.check();
    stored.check();
    out.check();
    return out.inner();
  }

  /** Goal: the same input gives the same bytes and the same result, in whatever thread. */
  @Test
  void agreesWithItselfInManyThreads() throws Exception {
    Compressor codec = newCompressor();
    List<Callable<byte[]>> calls = new ArrayList<>();
    List<byte[]> expected = new ArrayList<>();
    for (KvShape shape : shapes().filter(codec::supports).toList()) {
      for (KvSamples sample : KvSamples.values()) {
        MemorySegment source = sample.fill(shape, SEED);
        Callable<byte[]> call = () -> storedAndDecoded(codec, shape, source);
        expected.add(call.call());
        calls.add(call);
      }
    }
    try (ExecutorService threads = Executors.newFixedThreadPool(4)) {
      List<Future<byte[]>> results = threads.invokeAll(calls);
      for (int i = 0; i < results.size(); i++) {
        assertArrayEquals(expected.get(i), results.get(i).get());
      }
    }
  }

  private static byte[] storedAndDecoded(Compressor codec, KvShape shape, MemorySegment source)
      throws MalformedDataException {
    byte[] stored = encode(codec, shape, source);
    byte[] both = Arrays.copyOf(stored, Math.toIntExact(stored.length + shape.bytes()));
    MemorySegment decoded = MemorySegment.ofArray(both).asSlice(stored.length);
    codec.decompress(shape, codec.parameters(), MemorySegment.ofArray(stored), decoded);
    return both;
  }

  /** Goal: bad bytes are refused or decode to something, in bounds. Method: seeded damage of every kind. */
  @ParameterizedTest
  @MethodSource("shapes")
  void survivesDamage(KvShape shape) {
    Compressor codec = newCompressor();
    if (!codec.supports(shape)) {
      return;
    }
    SplittableRandom random = new SplittableRandom(SEED);
    for (KvSamples sample : List.of(KvSamples.REALISTIC, KvSamples.EQUAL, KvSamples.NOT_FINITE)) {
      byte[] stored = encode(codec, shape, sample.fill(shape, SEED));
      for (int round = 0; round < 60; round++) {
        decodeDamaged(codec, shape, codec.parameters(), flip(stored, random));
        decodeDamaged(codec, shape, codec.parameters(), overwriteLength(stored, random));
        byte[] noise = new byte[random.nextInt(2 * stored.length + 2)];
        random.nextBytes(noise);
        decodeDamaged(codec, shape, codec.parameters(), noise);
        decodeDamaged(codec, shape, random.nextInt(), stored);
      }
    }
  }

  /** Goal: the number of bytes is part of the format. */
  @ParameterizedTest
  @MethodSource("shapes")
  void refusesAnyOtherLength(KvShape shape) {
    Compressor codec = newCompressor();
    if (!codec.supports(shape)) {
      return;
    }
    byte[] stored = encode(codec, shape, KvSamples.REALISTIC.fill(shape, SEED));
    int step = Math.max(1, stored.length / 200);
    for (int length = 0; length < stored.length; length += length < 40 ? 1 : step) {
      assertFalse(decodeDamaged(codec, shape, codec.parameters(), Arrays.copyOf(stored, length)));
    }
    for (int extra : new int[] {1, 2, 5, 4096}) {
      byte[] longer = Arrays.copyOf(stored, stored.length + extra);
      assertFalse(decodeDamaged(codec, shape, codec.parameters(), longer));
    }
  }

  @Test
  void refusesWrongSegments() {
    Compressor codec = newCompressor();
    KvShape shape = shapes().filter(codec::supports).findFirst().orElseThrow();
    MemorySegment half = KvSamples.REALISTIC.fill(shape, SEED);
    MemorySegment room = MemorySegment.ofArray(new byte[Math.toIntExact(codec.maxStoredBytes(shape))]);
    MemorySegment tooShort = half.asSlice(1);
    assertThrows(IllegalArgumentException.class, () -> codec.compress(shape, tooShort, room));
    assertThrows(IllegalArgumentException.class, () -> codec.compress(shape, half, room.asSlice(1)));
    MemorySegment stored = room.asSlice(0, codec.compress(shape, half, room));
    assertThrows(
        IllegalArgumentException.class, () -> codec.decompress(shape, codec.parameters(), stored, tooShort));
    shapes().filter(other -> !codec.supports(other)).forEach(other -> {
      MemorySegment rows = KvSamples.EQUAL.fill(other, SEED);
      MemorySegment target = MemorySegment.ofArray(new byte[Math.toIntExact(64 + 2 * other.bytes())]);
      assertThrows(IllegalArgumentException.class, () -> codec.compress(other, rows, target));
    });
  }

  /** Encodes to exactly the bytes written. */
  protected static byte[] encode(Compressor codec, KvShape shape, MemorySegment source) {
    MemorySegment room = MemorySegment.ofArray(new byte[Math.toIntExact(codec.maxStoredBytes(shape))]);
    return room.asSlice(0, codec.compress(shape, source, room)).toArray(ValueLayout.JAVA_BYTE);
  }

  /** Whether the bytes were taken. Fails on any other outcome than that or {@link MalformedDataException}. */
  private static boolean decodeDamaged(Compressor codec, KvShape shape, int parameters, byte[] stored) {
    Guarded target = new Guarded(Allocation.HEAP_UNALIGNED, null, shape.bytes());
    Guarded input = new Guarded(Allocation.HEAP_UNALIGNED, null, stored.length);
    input.inner().copyFrom(MemorySegment.ofArray(stored));
    long before = allocatedBytes();
    boolean taken = true;
    try {
      codec.decompress(shape, parameters, input.inner().asReadOnly(), target.inner());
    } catch (MalformedDataException e) {
      taken = false;
    }
    long allocated = allocatedBytes() - before;
    assertTrue(allocated < (1 << 20) + 64 * shape.bytes(), allocated + " bytes allocated for " + shape);
    target.check();
    return taken;
  }

  private static long allocatedBytes() {
    var threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
    return threads.getCurrentThreadAllocatedBytes();
  }

  private static byte[] flip(byte[] stored, SplittableRandom random) {
    byte[] damaged = stored.clone();
    for (int flips = random.nextInt(1, 4); flips > 0; flips--) {
      // Half of them near the start, where lengths and modes live.
      int range = random.nextBoolean() ? Math.min(32, stored.length) : stored.length;
      damaged[random.nextInt(range)] ^= (byte) (1 << random.nextInt(8));
    }
    return damaged;
  }

  private static byte[] overwriteLength(byte[] stored, SplittableRandom random) {
    int[] hostile = {-1, 0, 1, Integer.MAX_VALUE, Integer.MIN_VALUE, stored.length, -stored.length, 1 << 30};
    byte[] damaged = stored.clone();
    int at = random.nextInt(Math.min(32, stored.length));
    int value = hostile[random.nextInt(hostile.length)];
    for (int i = 0; i < 4 && at + i < damaged.length; i++) {
      damaged[at + i] = (byte) (value >>> 8 * i);
    }
    return damaged;
  }

  /** Where a segment lies; native and heap ones, at offsets that suit no element type. */
  private enum Allocation {
    NATIVE(0), NATIVE_UNALIGNED(3), HEAP_UNALIGNED(1);

    final int offset;

    Allocation(int offset) {
      this.offset = offset;
    }
  }

  /** A segment with canaries on both sides. */
  private static final class Guarded {
    private final MemorySegment outer;
    private final long from;
    private final long bytes;

    Guarded(Allocation allocation, Arena arena, long bytes) {
      long all = bytes + 2 * MARGIN + allocation.offset;
      outer = allocation == Allocation.HEAP_UNALIGNED
          ? MemorySegment.ofArray(new byte[Math.toIntExact(all)])
          : arena.allocate(all, 8);
      outer.fill(CANARY);
      from = MARGIN + allocation.offset;
      this.bytes = bytes;
    }

    MemorySegment inner() {
      return outer.asSlice(from, bytes);
    }

    void check() {
      assertEquals(-1, outer.asSlice(0, from).mismatch(canaries(from)), "canary before the segment");
      long rest = outer.byteSize() - from - bytes;
      assertEquals(-1, outer.asSlice(from + bytes).mismatch(canaries(rest)), "canary after the segment");
    }

    private static MemorySegment canaries(long count) {
      return MemorySegment.ofArray(new byte[Math.toIntExact(count)]).fill(CANARY);
    }
  }
}
