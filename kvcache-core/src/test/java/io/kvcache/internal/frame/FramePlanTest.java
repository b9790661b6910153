package io.kvcache.internal.frame;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.DType;
import io.kvcache.KvHalf;
import io.kvcache.KvLayout;
import io.kvcache.LayerSpec;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** How layers come together in parts. */
class FramePlanTest {
  private static final int MIB = 1 << 20;

  /** A plan of opaque layers with so many KiB a chunk of 16 tokens. */
  private static FramePlan kibibytes(int... kib) {
    List<LayerSpec> layers = new ArrayList<>();
    for (int each : kib) {
      layers.add(LayerSpec.opaque(each * 1024 / 16));
    }
    return Frames.plan(new KvLayout(layers, 16));
  }

  private static int[] sizes(FramePlan plan) {
    int[] sizes = new int[plan.groups()];
    for (int group = 0; group < sizes.length; group++) {
      sizes[group] = plan.layersOf(group);
    }
    return sizes;
  }

  @Test
  void layersOfAMebibyteAreAlone() {
    assertArrayEquals(new int[] {1, 1, 1}, sizes(kibibytes(1024, 4096, 1024)));
  }

  @Test
  void smallLayersAreGroupedUntilTheyReachAMebibyte() {
    assertArrayEquals(new int[] {4, 4, 1}, sizes(kibibytes(256, 256, 256, 256, 256, 256, 256, 256, 256)));
    assertArrayEquals(new int[] {2, 2}, sizes(kibibytes(1023, 1, 1023, 1023)));
    assertArrayEquals(new int[] {3}, sizes(kibibytes(1, 2, 3)));
  }

  @Test
  void largeLayerIsAloneAlsoBetweenSmallOnes() {
    assertArrayEquals(new int[] {2, 1, 2}, sizes(kibibytes(4, 4, 1024, 4, 4)));
    assertArrayEquals(new int[] {1, 1, 1}, sizes(kibibytes(1023, 1024, 1023)));
  }

  @Test
  void bothHalvesCount() {
    KvLayout llama = KvLayout.uniform(32, 8, 128, DType.BF16);
    assertEquals(33, Frames.plan(llama).parts());
    assertEquals(17, Frames.plan(llama.withChunkTokens(128)).parts());
  }

  /** Goal: any mixture of layers is divided without a gap, and slots never overlap. Method: seeded layouts. */
  @Test
  void everyLayerIsInOneGroupAndHasItsOwnSlots() {
    for (long seed = 0; seed < 300; seed++) {
      SplittableRandom random = new SplittableRandom(seed);
      List<LayerSpec> layers = new ArrayList<>();
      for (int count = random.nextInt(1, 40); count > 0; count--) {
        int keyDim = 1 << random.nextInt(14);
        layers.add(new LayerSpec(random.nextInt(1, 9), keyDim, random.nextBoolean() ? keyDim : 0,
            DType.values()[random.nextInt(4)], 0));
      }
      requireSound(Frames.plan(new KvLayout(layers, 16)), "seed=" + seed);
    }
  }

  private static void requireSound(FramePlan plan, String at) {
    long[] most = plan.maxPartBytes(TrimCodec.EXACT);
    long[] ends = new long[plan.parts()];
    long[] plain = new long[plan.parts()];
    for (int layer = 0; layer < plan.layers(); layer++) {
      int part = plan.partOf(layer);
      int first = plan.firstLayer(part - 1);
      assertTrue(layer >= first && layer < first + plan.layersOf(part - 1), at);
      ends[part] = Math.max(ends[part], Preamble.BYTES);
      for (KvHalf half : KvHalf.values()) {
        assertEquals(ends[part], plan.slotOffset(TrimCodec.EXACT, null, layer, half), at);
        ends[part] += plan.slotBytes(TrimCodec.EXACT, null, layer, half);
        plain[part] += (long) plan.layout().layer(layer).rowBytes(half) * 16;
      }
    }
    for (int part = 1; part < plan.parts(); part++) {
      assertEquals(most[part], ends[part], at);
      int last = plan.firstLayer(part - 1) + plan.layersOf(part - 1) - 1;
      LayerSpec spec = plan.layout().layer(last);
      long lastBytes = (spec.keyRowBytes() + spec.valueRowBytes()) * 16L;
      assertTrue(plan.layersOf(part - 1) == 1 || plain[part] - lastBytes < MIB && lastBytes < MIB, at);
    }
  }
}
