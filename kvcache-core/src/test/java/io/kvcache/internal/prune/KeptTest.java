package io.kvcache.internal.prune;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.kvcache.DType;
import io.kvcache.KvHalf;
import io.kvcache.KvLayout;
import io.kvcache.LayerSpec;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.RepetitionInfo;
import org.junit.jupiter.api.Test;

/** Kept tokens and the rows that belong to them. */
class KeptTest {
  private static final KvLayout SMALL = new KvLayout(
      List.of(LayerSpec.of(2, 2, DType.F16), new LayerSpec(1, 3, 0, DType.BF16, 0)), 16);

  @Test
  void bytesAreThoseOfTheFormat() {
    Kept kept = Kept.of(SMALL, new long[][][] {{{0x8001}, {0x0402}}, {{0}}});
    assertEquals(6, Kept.encodedBytes(SMALL, false));
    byte[] bytes = new byte[8];
    kept.writeTo(MemorySegment.ofArray(bytes), 1);
    assertArrayEquals(new byte[] {0, 0x01, (byte) 0x80, 0x02, 0x04, 0, 0, 0}, bytes);
    assertArrayEquals(new int[] {0, 15}, kept.positions(0, 0));
    assertArrayEquals(new int[] {1, 10}, kept.positions(0, 1));
    assertArrayEquals(new int[0], kept.positions(1, 0));
    assertEquals(2, kept.count(0));
    assertEquals(0, kept.count(1));
  }

  /** One bitmap stands for all layers and heads; it is another thing than the same bitmap for each of them. */
  @Test
  void uniformBytesAreThoseOfTheFormat() throws MalformedDataException {
    Kept kept = Kept.uniform(SMALL, new long[] {0x8402});
    assertEquals(2, Kept.encodedBytes(SMALL, true));
    byte[] bytes = new byte[4];
    kept.writeTo(MemorySegment.ofArray(bytes), 1);
    assertArrayEquals(new byte[] {0, 0x02, (byte) 0x84, 0}, bytes);
    for (int layer = 0; layer < 2; layer++) {
      assertEquals(3, kept.count(layer));
      assertArrayEquals(new int[] {1, 10, 15}, kept.positions(layer, 0));
    }
    assertArrayEquals(new int[] {1, 10, 15}, kept.positions(0, 1));
    assertEquals(kept, Kept.read(SMALL, true, MemorySegment.ofArray(bytes), 1));
    assertThrows(MalformedDataException.class, () -> Kept.read(SMALL, true, MemorySegment.ofArray(bytes), 3));
    assertNotEquals(kept, Kept.of(SMALL, new long[][][] {{{0x8402}, {0x8402}}, {{0x8402}}}));
    assertThrows(IllegalArgumentException.class, () -> Kept.uniform(SMALL, new long[] {1 << 16}));
  }

  @Test
  void refusesWhatIsNotRectangular() {
    refused("heads of layer 0 keep 2 and 1 tokens", new long[][][] {{{3}, {4}}, {{0}}});
    refused("1 layers of kept tokens, the layout has 2", new long[][][] {{{3}, {3}}});
    refused("layer 1 has kept tokens for 2 heads, not 1", new long[][][] {{{3}, {3}}, {{1}, {1}}});
    refused("a bitmap is not one of 16 tokens", new long[][][] {{{3}, {3}}, {{1 << 16}}});
    refused("a bitmap is not one of 16 tokens", new long[][][] {{{3}, {3}}, {{1, 0}}});
  }

  private static void refused(String message, long[][][] bitmaps) {
    assertEquals(message,
        assertThrows(IllegalArgumentException.class, () -> Kept.of(SMALL, bitmaps)).getMessage());
  }

  @Test
  void malformedBytesAreNotRead() throws MalformedDataException {
    MemorySegment bytes = MemorySegment.ofArray(new byte[] {9, 3, 0, 0, 3, 0, (byte) 0x80});
    assertEquals(Kept.of(SMALL, new long[][][] {{{3}, {0x300}}, {{0x8000}}}),
        Kept.read(SMALL, false, bytes, 1));
    for (long offset : new long[] {2, -1, Long.MAX_VALUE}) {
      assertThrows(MalformedDataException.class, () -> Kept.read(SMALL, false, bytes, offset));
    }
    for (int bit = 8; bit < 8 + 32; bit++) { // of the layer with two heads
      MemorySegment changed = MemorySegment.ofArray(bytes.toArray(ValueLayout.JAVA_BYTE));
      changed.set(ValueLayout.JAVA_BYTE, bit / 8,
          (byte) (changed.get(ValueLayout.JAVA_BYTE, bit / 8) ^ 1 << bit % 8));
      assertThrows(MalformedDataException.class, () -> Kept.read(SMALL, false, changed, 1), "bit " + bit);
    }
  }

  @RepeatedTest(10)
  void comesBackAsItWas(RepetitionInfo run) throws MalformedDataException {
    long seed = Long.getLong("test.seed", run.getCurrentRepetition());
    SplittableRandom random = new SplittableRandom(seed);
    KvLayout layout = layout(random);
    Kept[] chunks = select(layout, 1 + random.nextInt(3), random);
    String at = "seed=" + seed;
    for (Kept kept : chunks) {
      MemorySegment bytes = MemorySegment.ofArray(new byte[(int) Kept.encodedBytes(layout, false) + 3]);
      kept.writeTo(bytes, 3);
      Kept read = Kept.read(layout, false, bytes, 3);
      assertEquals(kept, read, at);
      assertEquals(kept.hashCode(), read.hashCode(), at);
      int bit = 3 * Byte.SIZE;
      int keptInAll = 0;
      for (int layer = 0; layer < layout.layers().size(); layer++) {
        for (int head = 0; head < layout.layer(layer).kvHeads(); head++) {
          int[] positions = kept.positions(layer, head);
          assertEquals(kept.count(layer), positions.length, at);
          keptInAll += positions.length;
          for (int token = 0; token < layout.chunkTokens(); token++, bit++) {
            boolean set = (bytes.get(ValueLayout.JAVA_BYTE, bit / 8) >>> bit % 8 & 1) != 0;
            assertEquals(set, Arrays.binarySearch(positions, token) >= 0, at);
          }
        }
      }
      bytes.fill((byte) 0);
      assertEquals(keptInAll == 0, kept.equals(Kept.read(layout, false, bytes, 3)), at);
    }
    assertNotEquals(chunks[0], null);
  }

  /** Goal: rows go where they belong. Method: every element names its token, head and channel. */
  @RepeatedTest(40)
  void gatheredRowsAreThoseOfTheirTokens(RepetitionInfo run) {
    long seed = Long.getLong("test.seed", run.getCurrentRepetition());
    SplittableRandom random = new SplittableRandom(seed);
    LayerSpec spec =
        new LayerSpec(1 + random.nextInt(3), 1 + random.nextInt(5), 1 + random.nextInt(5), DType.F32, 0);
    KvLayout layout = new KvLayout(List.of(spec), 16 << random.nextInt(5));
    int tokens = layout.chunkTokens();
    Kept[] chunks = random.nextBoolean() ? select(layout, 3, random) : uniform(layout, 3, random);
    int total = Arrays.stream(chunks).mapToInt(kept -> kept.count(0)).sum();
    for (KvHalf half : KvHalf.values()) {
      int dim = half == KvHalf.KEYS ? spec.keyDim() : spec.valueDim();
      float[] headMajor = new float[total * spec.kvHeads() * dim];
      int row = 0;
      for (int chunk = 0; chunk < chunks.length; chunk++) {
        int kept = chunks[chunk].count(0);
        float[] stored = new float[kept * spec.kvHeads() * dim];
        Gather.rows(spec, half, MemorySegment.ofArray(dense(spec, tokens, chunk, dim)), chunks[chunk], 0,
            MemorySegment.ofArray(stored));
        Gather.toHeadMajor(spec, half, kept, MemorySegment.ofArray(stored), MemorySegment.ofArray(headMajor),
            row,
            total);
        row += kept;
      }
      int at = 0;
      for (int head = 0; head < spec.kvHeads(); head++) {
        for (int chunk = 0; chunk < chunks.length; chunk++) {
          for (int token : chunks[chunk].positions(0, head)) {
            for (int d = 0; d < dim; d++) {
              assertEquals(name(chunk * tokens + token, head, d), headMajor[at++], "seed=" + seed);
            }
          }
        }
      }
      assertEquals(headMajor.length, at);
    }
  }

  @Test
  void rowsBeyondTheRunAreRefused() {
    LayerSpec spec = LayerSpec.of(1, 1, DType.F32);
    MemorySegment rows = MemorySegment.ofArray(new float[9]);
    assertThrows(IllegalArgumentException.class,
        () -> Gather.toHeadMajor(spec, KvHalf.KEYS, 3, rows, rows, 2, 4));
    assertThrows(IllegalArgumentException.class,
        () -> Gather.toHeadMajor(spec, KvHalf.KEYS, 3, rows, rows, -1, 4));
  }

  private static float[] dense(LayerSpec spec, int tokens, int chunk, int dim) {
    float[] elements = new float[tokens * spec.kvHeads() * dim];
    for (int i = 0; i < elements.length; i++) {
      elements[i] =
          name(chunk * tokens + i / dim / spec.kvHeads(), i / dim % spec.kvHeads(), i % dim);
    }
    return elements;
  }

  private static float name(int token, int head, int d) {
    return (token * 8 + head) * 8 + d;
  }

  /** Runs of tokens of all lengths, up to all of a chunk and none. */
  private static Kept[] uniform(KvLayout layout, int chunks, SplittableRandom random) {
    Kept[] kept = new Kept[chunks];
    for (int chunk = 0; chunk < chunks; chunk++) {
      long[] bitmap = new long[(layout.chunkTokens() + 63) / 64];
      boolean set = random.nextBoolean();
      int often = 1 + random.nextInt(60);
      for (int token = 0; token < layout.chunkTokens(); token++) {
        set ^= random.nextInt(often) == 0;
        bitmap[token / 64] |= set ? 1L << token : 0;
      }
      kept[chunk] = Kept.uniform(layout, bitmap);
    }
    return kept;
  }

  private static KvLayout layout(SplittableRandom random) {
    LayerSpec[] layers = new LayerSpec[1 + random.nextInt(3)];
    Arrays.setAll(layers, i -> LayerSpec.of(1 + random.nextInt(4), 2, DType.BF16));
    return new KvLayout(List.of(layers), 16 << random.nextInt(5));
  }

  private static Kept[] select(KvLayout layout, int chunks, SplittableRandom random) {
    long[][][][] selected = new long[layout.layers().size()][][][];
    for (int layer = 0; layer < selected.length; layer++) {
      float[][] scores = new float[layout.layer(layer).kvHeads()][chunks * layout.chunkTokens()];
      for (float[] row : scores) {
        for (int token = 0; token < row.length; token++) {
          row[token] = random.nextFloat();
        }
      }
      selected[layer] = Selection.select(scores, layout.chunkTokens(), 1 + random.nextInt(100));
    }
    Kept[] kept = Kept.perChunk(layout, selected);
    assertEquals(chunks, kept.length);
    assertFalse(Arrays.asList(kept).contains(null));
    return kept;
  }
}
