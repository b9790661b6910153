package io.kvcache.internal.frame;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.DType;
import io.kvcache.Encoding;
import io.kvcache.KvHalf;
import io.kvcache.KvLayout;
import io.kvcache.LayerSpec;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.MalformedDataException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** Frames written in any order, by any threads, by an encoding whose halves differ in length. */
class FrameWriterTest {
  /** Small layers in one group, a large one alone, one without values. */
  private static final KvLayout LAYOUT = new KvLayout(
      List.of(
          LayerSpec.of(2, 8, DType.BF16), LayerSpec.opaque(5), new LayerSpec(3, 5, 7, DType.FP8, 128),
          LayerSpec.of(32, 512, DType.BF16), LayerSpec.of(1, 3, DType.F32)),
      32);

  private final FramePlan plan = Frames.plan(LAYOUT);
  private final Codecs codecs = new Codecs(List.of(TrimCodec.EXACT), LAYOUT);

  private static FrameHeader.Fields fields(Compressor codec) {
    return FrameHeader.Fields.original(Frames.exampleId(), 5, Frames.EXAMPLE_ROOT, Frames.EXAMPLE_ROOT, 0,
        Encoding.of(codec.codec()), codec.parameters(), 42, 0);
  }

  /** Random halves, each ending in a random number of zeros. */
  private static List<byte[]> halves(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    List<byte[]> halves = Frames.randomHalves(LAYOUT, seed);
    for (byte[] half : halves) {
      int zeros = half.length == 0 ? 0 : random.nextInt(half.length + 1);
      Arrays.fill(half, half.length - zeros, half.length, (byte) 0);
    }
    return halves;
  }

  private static void requireEqual(List<byte[]> expected, List<byte[]> actual) {
    assertEquals(expected.size(), actual.size());
    for (int index = 0; index < expected.size(); index++) {
      assertArrayEquals(expected.get(index), actual.get(index), "number " + index);
    }
  }

  @Test
  void halvesOfAnyLengthComeBack() throws MalformedDataException {
    for (long seed = 0; seed < 20; seed++) {
      for (Compressor codec : List.of(new RawCodec(), TrimCodec.EXACT)) {
        List<byte[]> halves = halves(seed);
        List<byte[]> parts = Frames.write(plan, codec, fields(codec), Frames.inOrder(halves));
        FrameReader reader = Frames.open(plan, codecs, parts.get(0), Frames.exampleId(), 5);
        requireEqual(halves, Frames.read(reader, parts));
        requireDense(reader.header(), parts);
      }
    }
  }

  /** Halves start at the next multiple of 64, zeros between, and the part ends with the last. */
  private void requireDense(FrameHeader header, List<byte[]> parts) {
    long[] ends = new long[plan.parts()];
    Arrays.fill(ends, Preamble.BYTES);
    for (int layer = 0; layer < plan.layers(); layer++) {
      int number = plan.partOf(layer);
      for (KvHalf half : KvHalf.values()) {
        if (LAYOUT.layer(layer).rowBytes(half) > 0) {
          long offset = header.offset(layer, half);
          assertEquals(0, offset % 64);
          assertTrue(offset >= ends[number] && offset < ends[number] + 64, "gap before " + half + layer);
          for (long at = ends[number]; at < offset; at++) {
            assertEquals(0, parts.get(number)[(int) at]);
          }
          ends[number] = offset + header.halves().storedBytes(layer, half);
        }
      }
    }
    for (int number = 1; number < plan.parts(); number++) {
      assertEquals(ends[number], parts.get(number).length);
      assertEquals(ends[number], header.partBytes(number));
    }
  }

  @Test
  void orderOfWritingDoesNotMatter() {
    for (Compressor codec : List.of(new RawCodec(), TrimCodec.EXACT)) {
      List<byte[]> halves = halves(1);
      List<byte[]> expected = Frames.write(plan, codec, fields(codec), Frames.inOrder(halves));
      for (int seed = 0; seed < 10; seed++) {
        List<Integer> order = new ArrayList<>(IntStream.range(0, halves.size()).boxed().toList());
        Collections.shuffle(order, new Random(seed));
        List<byte[]> parts = Frames.write(plan, codec, fields(codec),
            writer -> order.forEach(index -> Frames.encode(writer, halves, index)));
        requireEqual(expected, parts);
      }
    }
  }

  @Test
  void halvesMayBeWrittenAtOnce() throws Exception {
    List<byte[]> halves = halves(2);
    FrameHeader.Fields fields = fields(TrimCodec.EXACT);
    List<byte[]> expected = Frames.write(plan, TrimCodec.EXACT, fields, Frames.inOrder(halves));
    try (ExecutorService threads = Executors.newFixedThreadPool(4)) {
      for (int round = 0; round < 50; round++) {
        requireEqual(expected, Frames.write(plan, TrimCodec.EXACT, fields, writer -> {
          List<Callable<Long>> calls = new ArrayList<>();
          for (int index = 0; index < halves.size(); index++) {
            int each = index;
            calls.add(() -> Frames.encode(writer, halves, each));
          }
          for (Future<Long> call : threads.invokeAll(calls)) {
            call.get();
          }
        }));
      }
    }
  }

  @Test
  void halfThatIsMissingIsNoticedBeforeTheCommit() {
    List<byte[]> halves = halves(3);
    IllegalStateException thrown = assertThrows(IllegalStateException.class,
        () -> Frames.write(plan, TrimCodec.EXACT, fields(TrimCodec.EXACT), writer -> {
          for (int index = 0; index < halves.size(); index++) {
            if (index != 5) {
              Frames.encode(writer, halves, index);
            }
          }
        }));
    assertEquals("the VALUES of layer 2 were not written", thrown.getMessage());
  }

  /** Goal: another encoding of the same content is known as such, and other content is not. */
  @Test
  void contentIsComparedAcrossEncodings() throws MalformedDataException {
    RawCodec raw = new RawCodec();
    List<byte[]> original = Frames.write(plan, raw, fields(raw), Frames.inOrder(halves(4)));
    FrameHeader header = Frames.open(plan, codecs, original.get(0), Frames.exampleId(), 5).header();
    Frames.write(plan, TrimCodec.EXACT, fields(TrimCodec.EXACT), writer -> {
      Frames.inOrder(halves(4)).fill(writer);
      writer.requireContentOf(header);
    });
    List<byte[]> changed = halves(4);
    changed.get(6)[0] ^= 1;
    Frames.write(plan, TrimCodec.EXACT, fields(TrimCodec.EXACT), writer -> {
      Frames.inOrder(changed).fill(writer);
      assertThrows(MalformedDataException.class, () -> writer.requireContentOf(header));
    });
  }
}
