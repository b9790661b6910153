package io.kvcache.internal.prune;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.DType;
import io.kvcache.DropMethod;
import io.kvcache.LayerSpec;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class ScorerTest {
  private static final float INFINITY = Float.POSITIVE_INFINITY;

  /** Four keys of two heads; the second head's are the first's, backwards. */
  private static final float[] KEYS = {3, 4, 0, 1, 1, 0, 1, 0, 1, 0, 1, 0, 0, 1, 3, 4};

  @Test
  void streamingKeepsSinksAndRecency() {
    List<MemorySegment> two = List.of(MemorySegment.NULL, MemorySegment.NULL);
    float[][] root = Scorer.score(DropMethod.STREAMING_LLM, LayerSpec.of(2, 2, DType.F32), 3, 0, two);
    assertArrayEquals(new float[] {INFINITY, INFINITY, INFINITY, INFINITY, 4, 5}, root[0]);
    assertArrayEquals(root[0], root[1]);
    float[][] later = Scorer.score(DropMethod.STREAMING_LLM, LayerSpec.opaque(2), 3, 2, two);
    assertArrayEquals(new float[] {INFINITY, INFINITY, 2, 3, 4, 5}, later[0]);
  }

  @Test
  void knormIsTheNegativeNorm() {
    float[][] scores = score(DropMethod.KNORM, LayerSpec.of(2, 2, DType.F32), 2, KEYS);
    assertArrayEquals(new float[] {-5, -1, -1, -1}, scores[0]);
    assertArrayEquals(new float[] {-1, -1, -1, -5}, scores[1]);
  }

  @Test
  void aNormBeyondAllNumbersRanksLastButMasksNothing() {
    float[][] scores = score(DropMethod.KNORM, LayerSpec.of(1, 2, DType.F32), 2,
        new float[] {3e38f, 3e38f, 1e19f, 0, INFINITY, 1, Float.NaN, 0});
    assertArrayEquals(new float[] {-Float.MAX_VALUE, -1e19f, -Float.MAX_VALUE, Float.NaN}, scores[0], 1e13f);
  }

  /** The normalised keys are (.6, .8), (1, 0), (1, 0), (0, 1); their mean is (.65, .45). */
  @Test
  void keydiffIsTheNegativeCosineWithTheMeanDirection() {
    float[][] scores = score(DropMethod.KEYDIFF, LayerSpec.of(2, 2, DType.F32), 2, KEYS);
    double norm = Math.hypot(.65, .45);
    float[] expected =
        {(float) (-.75 / norm), (float) (-.65 / norm), (float) (-.65 / norm), (float) (-.45 / norm)};
    assertArrayEquals(expected, scores[0], 1e-6f);
    assertArrayEquals(new float[] {expected[3], expected[1], expected[1], expected[0]}, scores[1], 1e-6f);
  }

  @Test
  void zeroKeysHaveNoDirection() {
    assertArrayEquals(new float[] {-0f, -0f, -0f, -0f},
        score(DropMethod.KEYDIFF, LayerSpec.of(1, 4, DType.F32), 4,
            new float[16])[0]);
  }

  @Test
  void oneBadKeySpoilsNoOther() {
    float[] keys = KEYS.clone();
    keys[4] = Float.NaN;
    keys[10] = Float.NEGATIVE_INFINITY;
    for (DropMethod method : new DropMethod[] {DropMethod.KNORM, DropMethod.KEYDIFF}) {
      float[][] scores = score(method, LayerSpec.of(2, 2, DType.F32), 2, keys);
      assertTrue(Float.isNaN(scores[0][1]), method + " of a NaN");
      assertFalse(scores[1][2] > -Float.MAX_VALUE, method + " of an infinity");
      for (int token : new int[] {0, 2, 3}) {
        assertTrue(Float.isFinite(scores[0][token]), method + " " + token);
      }
    }
  }

  /** Goal: blocks, dtypes and odd sizes make no difference. Method: against plain doubles over the widened keys. */
  @ParameterizedTest
  @EnumSource(names = {"BF16", "F16", "F32", "FP8"})
  void equalsItsNaiveTwin(DType dtype) {
    long seed = Long.getLong("test.seed", 7);
    SplittableRandom random = new SplittableRandom(seed + dtype.number());
    int[][] shapes = {{1, 1, 16, 1}, {3, 5, 16, 4}, {2, 32, 64, 3}, {8, 128, 32, 2}, {1, 5000, 16, 2}};
    for (int[] shape : shapes) {
      LayerSpec layer = new LayerSpec(shape[0], shape[1], 0, dtype, 0);
      float[] keys = new float[shape[0] * shape[1] * shape[2] * shape[3]];
      for (int i = 0; i < keys.length; i++) {
        keys[i] = rounded(dtype, (float) (random.nextGaussian() + 0.5));
      }
      String at = "seed=" + seed + " " + layer;
      float[][] norms = score(DropMethod.KNORM, layer, shape[2], keys);
      float[][] differences = score(DropMethod.KEYDIFF, layer, shape[2], keys);
      for (int head = 0; head < shape[0]; head++) {
        double[][] rows = rows(keys, layer, head);
        double[] anchor = new double[shape[1]];
        for (double[] row : rows) {
          double norm = norm(row);
          for (int d = 0; d < anchor.length; d++) {
            anchor[d] += row[d] / norm / rows.length;
          }
        }
        for (int token = 0; token < rows.length; token++) {
          assertEquals(-norm(rows[token]), norms[head][token], 1e-4 * norm(rows[token]), at);
          double dot = 0;
          for (int d = 0; d < anchor.length; d++) {
            dot += anchor[d] * rows[token][d];
          }
          assertEquals(-dot / norm(rows[token]) / norm(anchor), differences[head][token], 1e-4, at);
        }
      }
    }
  }

  @Test
  void refusesWhatItCannotRank() {
    LayerSpec opaque = LayerSpec.opaque(8);
    List<MemorySegment> keys = List.of(MemorySegment.ofArray(new byte[128]));
    assertThrows(IllegalArgumentException.class, () -> Scorer.score(DropMethod.KNORM, opaque, 16, 0, keys));
    assertThrows(IllegalArgumentException.class,
        () -> Scorer.score(DropMethod.SNAPKV, LayerSpec.of(1, 2, DType.F32), 16, 0, keys));
  }

  private static double[][] rows(float[] keys, LayerSpec layer, int head) {
    int channels = layer.kvHeads() * layer.keyDim();
    double[][] rows = new double[keys.length / channels][layer.keyDim()];
    for (int token = 0; token < rows.length; token++) {
      for (int d = 0; d < layer.keyDim(); d++) {
        rows[token][d] = keys[token * channels + head * layer.keyDim() + d];
      }
    }
    return rows;
  }

  private static double norm(double[] row) {
    return Math.sqrt(Arrays.stream(row).map(x -> x * x).sum());
  }

  private static float[][] score(DropMethod method, LayerSpec layer, int chunkTokens, float[] keys) {
    int chunk = chunkTokens * layer.kvHeads() * layer.keyDim();
    MemorySegment[] chunks = new MemorySegment[keys.length / chunk];
    Arrays.setAll(chunks,
        i -> encode(layer.dtype(), Arrays.copyOfRange(keys, i * chunk, (i + 1) * chunk)));
    return Scorer.score(method, layer, chunkTokens, 0, List.of(chunks));
  }

  private static float rounded(DType dtype, float x) {
    return switch (dtype) {
      case BF16 -> Float.intBitsToFloat(Float.floatToIntBits(x) & 0xffff0000);
      case F16 -> Float.float16ToFloat(Float.floatToFloat16(x));
      case FP8 -> Math.signum(x) * Math.max(1, Math.min(8, Math.round(Math.abs(x) * 8))) / 8f;
      default -> x;
    };
  }

  static MemorySegment encode(DType dtype, float[] elements) {
    ByteBuffer out = ByteBuffer.allocate(elements.length * dtype.bytes()).order(ByteOrder.LITTLE_ENDIAN);
    for (float x : elements) {
      switch (dtype) {
        case BF16 -> out.putShort((short) (Float.floatToRawIntBits(x) >>> 16));
        case F16 -> out.putShort(Float.floatToFloat16(x));
        case F32 -> out.putFloat(x);
        case FP8 -> out.put(eighths(x));
        default -> throw new AssertionError(dtype);
      }
    }
    return MemorySegment.ofArray(out.array());
  }

  /** E4M3 of an eighth to one, with its sign: the mantissa moved up until its leading bit is hidden. */
  private static byte eighths(float x) {
    int count = Math.round(Math.abs(x) * 8);
    int exponent = 31 - Integer.numberOfLeadingZeros(count);
    int mantissa = (count << 3 >> exponent) & 7;
    return (byte) ((x < 0 ? 128 : 0) | (exponent - 3 + 7) << 3 | mantissa);
  }
}
