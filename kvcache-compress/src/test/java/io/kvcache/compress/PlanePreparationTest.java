package io.kvcache.compress;

import static org.junit.jupiter.api.Assertions.assertTrue;

import com.github.luben.zstd.Zstd;
import io.kvcache.KvHalf;
import io.kvcache.compress.RealKvTest.Half;
import io.kvcache.compress.kernel.PlaneKernels;
import java.io.IOException;
import java.util.List;
import java.util.function.IntBinaryOperator;
import net.jpountz.lz4.LZ4Factory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Why planes are coded as they are: what else could be done to the upper plane of bf16, by what LZ4 and Zstandard
 * make of it on real KV. The day this fails there is something to gain.
 */
class PlanePreparationTest {
  private static final int LEVEL = 1;

  /** What may be put in place of a byte, given it and the byte of the token before. */
  private enum Change {
    NONE((now, before) -> now), XOR((now, before) -> now ^ before), DIFFERENCE((now, before) -> now - before);

    final IntBinaryOperator operator;

    Change(IntBinaryOperator operator) {
      this.operator = operator;
    }
  }

  @ParameterizedTest
  @EnumSource
  void differencesBetweenTokensDoNotPay(KvHalf which) throws IOException {
    boolean turned = which == KvHalf.KEYS;
    double[] chosen = shares(which, Change.NONE, turned, LEVEL);
    for (Change change : List.of(Change.XOR, Change.DIFFERENCE)) {
      for (boolean turn : new boolean[] {false, true}) {
        double[] other = shares(which, change, turn, LEVEL);
        System.out.printf("%s, %s, turned %s: LZ4 %.3f instead of %.3f, Zstandard %.3f instead of %.3f%n",
            which,
            change, turn, other[0], chosen[0], other[1], chosen[1]);
        assertTrue(other[0] > 1.01 * chosen[0], which + " " + change + " turned " + turn);
        assertTrue(other[1] > 1.05 * chosen[1], which + " " + change + " turned " + turn);
      }
    }
  }

  @Test
  void valuesAreNotTurned() throws IOException {
    double[] inOrder = shares(KvHalf.VALUES, Change.NONE, false, LEVEL);
    double[] turned = shares(KvHalf.VALUES, Change.NONE, true, LEVEL);
    assertTrue(inOrder[0] < 0.9 * turned[0] && inOrder[1] < 0.9 * turned[1]);
  }

  @ParameterizedTest
  @EnumSource
  void higherLevelsDoNotPay(KvHalf which) throws IOException {
    boolean turned = which == KvHalf.KEYS;
    double lowest = shares(which, Change.NONE, turned, LEVEL)[1];
    for (int level : new int[] {-1, 2, 3, 9}) {
      double other = shares(which, Change.NONE, turned, level)[1];
      System.out.printf("%s, Zstandard of level %d: %.3f instead of %.3f%n", which, level, other, lowest);
      double least = level < 9 ? lowest : 0.98 * lowest; // level 9 takes several times as long, too
      assertTrue(other > least, which + " level " + level);
    }
  }

  /** What LZ4 and Zstandard leave of the upper planes. */
  private static double[] shares(KvHalf which, Change change, boolean turned, int level) throws IOException {
    double bytes = 0;
    double lz4 = 0;
    double zstd = 0;
    for (Half half : RealKvTest.readSample()) {
      if (half.shape().half() == which) {
        byte[] plane = upperPlane(half, change, turned);
        bytes += plane.length;
        lz4 += LZ4Factory.fastestInstance().fastCompressor().compress(plane).length;
        zstd += Zstd.compress(plane, level).length;
      }
    }
    return new double[] {lz4 / bytes, zstd / bytes};
  }

  private static byte[] upperPlane(Half half, Change change, boolean turned) {
    int channels = half.shape().channels();
    byte[] plane = new byte[half.bytes().length / 2];
    for (int i = 0; i < plane.length; i++) {
      byte now = half.bytes()[2 * i + 1];
      byte before = i < channels ? 0 : half.bytes()[2 * (i - channels) + 1];
      plane[i] = (byte) change.operator.applyAsInt(now, before);
    }
    if (!turned) {
      return plane;
    }
    byte[] other = new byte[plane.length];
    PlaneKernels.transpose(plane, half.shape().tokens(), channels, other);
    return other;
  }
}
