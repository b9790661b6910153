package io.kvcache.compress;

import io.kvcache.DType;
import io.kvcache.KvHalf;
import io.kvcache.KvShape;
import io.kvcache.spi.Compressor;
import io.kvcache.testkit.DecodingWatch;
import io.kvcache.testkit.KvSamples;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Halves that a codec of the list is given bad bytes for: small ones, so that many can be tried. One thread. */
final class HostileBytes {
  private static final List<KvShape> SHAPES = List.of(
      new KvShape(KvHalf.KEYS, 16, 2, 8, DType.BF16), new KvShape(KvHalf.VALUES, 16, 2, 8, DType.BF16),
      new KvShape(KvHalf.KEYS, 33, 1, 5, DType.F16), new KvShape(KvHalf.VALUES, 5, 2, 20, DType.F16),
      new KvShape(KvHalf.KEYS, 7, 1, 4, DType.F32), new KvShape(KvHalf.VALUES, 65, 1, 3, DType.F32),
      new KvShape(KvHalf.KEYS, 1, 1, 1, DType.BF16), new KvShape(KvHalf.VALUES, 40, 1, 64, DType.BF16),
      new KvShape(KvHalf.KEYS, 20, 1, 16, DType.FP8), new KvShape(KvHalf.VALUES, 9, 1, 31, DType.OPAQUE));
  private static final KvSamples[] CONTENTS =
      {KvSamples.REALISTIC, KvSamples.EQUAL, KvSamples.NOT_FINITE, KvSamples.NOISE};

  private final Compressor codec;
  private final List<KvShape> shapes;
  private final Map<KvShape, DecodingWatch> watches = new HashMap<>();

  HostileBytes(Compressor codec) {
    this.codec = codec;
    shapes = SHAPES.stream().filter(codec::supports).toList();
  }

  /** The shape that a number stands for. */
  KvShape shape(int number) {
    return shapes.get(Math.floorMod(number, shapes.size()));
  }

  int shapes() {
    return shapes.size();
  }

  /** Whether the bytes are taken for a half of this shape; fails if that does anything it must not. */
  boolean takes(KvShape shape, int parameters, byte... stored) {
    return watches.computeIfAbsent(shape, any -> new DecodingWatch(codec, any)).takes(parameters, stored);
  }

  /** What the codec makes of halves of this shape with contents of all kinds. */
  List<byte[]> stored(KvShape shape) {
    List<byte[]> all = new ArrayList<>();
    for (KvSamples content : CONTENTS) {
      all.add(encoded(codec, shape, content));
    }
    return all;
  }

  /** What other codecs make of a half of this shape, and this one of halves of other shapes. */
  List<byte[]> foreign(KvShape shape) {
    List<byte[]> all = new ArrayList<>();
    for (Compressor other : Compressors.all()) {
      if (other.codec() != codec.codec() && other.supports(shape)) {
        all.add(encoded(other, shape, KvSamples.REALISTIC));
      }
    }
    for (KvShape other : shapes) {
      if (!other.equals(shape)) {
        all.add(encoded(codec, other, KvSamples.REALISTIC));
      }
    }
    all.add(KvSamples.REALISTIC.fill(shape, 3).toArray(ValueLayout.JAVA_BYTE));
    return all;
  }

  private static byte[] encoded(Compressor codec, KvShape shape, KvSamples content) {
    MemorySegment room = MemorySegment.ofArray(new byte[Math.toIntExact(codec.maxStoredBytes(shape))]);
    return room.asSlice(0, codec.compress(shape, content.fill(shape, 3), room))
        .toArray(ValueLayout.JAVA_BYTE);
  }
}
