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
import io.kvcache.testkit.GuardedBytes.Place;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
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
 * What every {@link Compressor} must do: extend, return a codec, inherit the tests. A codec that can say more exactly
 * than by its fidelity and nominal quality how far its results may be off overrides {@link #assertFaithful}.
 * {@code -Dtest.seed} replays a failure.
 */
public abstract class CompressorContract {
  private static final long SEED = Long.getLong("test.seed", 20261123);

  /** The codec under test. */
  protected abstract Compressor newCompressor();

  /** Fails when {@code decoded} is further from {@code source} than the codec promises. */
  protected void assertFaithful(KvShape shape, MemorySegment source, MemorySegment decoded) {
    Compressor codec = newCompressor();
    if (codec.fidelity().exact()) {
      assertEquals(-1, source.mismatch(decoded), () -> codec.name() + ": first byte that differs, " + shape);
    } else {
      new Closeness(codec, shape, source, decoded).requireAll();
    }
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
        for (Place place : Place.values()) {
          MemorySegment decoded = roundTrip(shape, source, place, arena);
          assertFaithful(shape, source, decoded);
        }
      }
    }
  }

  private MemorySegment roundTrip(KvShape shape, MemorySegment source, Place place, Arena arena)
      throws MalformedDataException {
    Compressor codec = newCompressor();
    long most = codec.maxStoredBytes(shape);
    assertTrue(most >= 1, "maxStoredBytes " + most);
    long usual = codec.usualStoredBytes(shape);
    assertTrue(usual >= 1 && usual <= most, "usualStoredBytes " + usual + " of " + most);
    GuardedBytes in = new GuardedBytes(place, arena, shape.bytes());
    in.inner().copyFrom(source);
    GuardedBytes stored = new GuardedBytes(place, arena, most);
    GuardedBytes out = new GuardedBytes(place, arena, shape.bytes());
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

  /** Goal: ordinary channels do not pay for those that stand far out. */
  @Test
  void staysCloseInOrdinaryChannels() throws MalformedDataException {
    Compressor codec = newCompressor();
    for (KvShape shape : shapes().filter(codec::supports).filter(shape -> shape.tokens() >= 64).toList()) {
      if (!codec.fidelity().exact()) {
        MemorySegment source = KvSamples.REALISTIC.fill(shape, SEED);
        try (Arena arena = Arena.ofConfined()) {
          MemorySegment decoded = roundTrip(shape, source, Place.NATIVE, arena);
          new Closeness(codec, shape, source, decoded).requireChannels();
        }
      }
    }
  }

  /** Goal: nothing of one prompt's KV gets into what is stored of another's, nor what was in the target before. */
  @ParameterizedTest
  @MethodSource("shapes")
  void storesNothingOfEarlierCalls(KvShape shape) {
    Compressor codec = newCompressor();
    if (!codec.supports(shape)) {
      return;
    }
    DecodingWatch watch = new DecodingWatch(codec, shape);
    for (KvSamples sample : KvSamples.values()) {
      MemorySegment source = sample.fill(shape, SEED);
      watch.workOnSomethingElse();
      byte[] expected = encode(codec, shape, source, (byte) 0x3c);
      watch.workOnSomethingElse();
      assertArrayEquals(expected, encode(codec, shape, source, (byte) 0xc3),
          codec.name() + " " + sample + " " + shape);
    }
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
    Damage damage = new Damage(random);
    DecodingWatch watch = new DecodingWatch(codec, shape);
    for (KvSamples sample : List.of(KvSamples.REALISTIC, KvSamples.EQUAL, KvSamples.NOT_FINITE)) {
      byte[] stored = encode(codec, shape, sample.fill(shape, SEED));
      byte[] other = encode(codec, shape, KvSamples.NOISE.fill(shape, SEED));
      for (int round = 0; round < 150; round++) {
        watch.takes(codec.parameters(), damage.to(stored, other));
      }
      for (int round = 0; round < 30; round++) {
        watch.takes(random.nextInt(), stored);
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
    DecodingWatch watch = new DecodingWatch(codec, shape);
    byte[] stored = encode(codec, shape, KvSamples.REALISTIC.fill(shape, SEED));
    assertTrue(watch.takes(codec.parameters(), stored));
    int step = Math.max(1, stored.length / 200);
    for (int length = 0; length < stored.length; length += length < 40 ? 1 : step) {
      assertFalse(watch.takes(codec.parameters(), Arrays.copyOf(stored, length)), length + " bytes");
    }
    for (int extra : new int[] {1, 2, 5, 4096}) {
      assertFalse(watch.takes(codec.parameters(), Arrays.copyOf(stored, stored.length + extra)));
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
    return encode(codec, shape, source, (byte) 0);
  }

  private static byte[] encode(Compressor codec, KvShape shape, MemorySegment source, byte before) {
    MemorySegment room = MemorySegment.ofArray(new byte[Math.toIntExact(codec.maxStoredBytes(shape))]);
    room.fill(before);
    return room.asSlice(0, codec.compress(shape, source, room)).toArray(ValueLayout.JAVA_BYTE);
  }
}
