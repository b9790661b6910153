package io.kvcache.compress;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.github.luben.zstd.Zstd;
import io.kvcache.DType;
import io.kvcache.KvHalf;
import io.kvcache.KvShape;
import io.kvcache.compress.RealKvTest.Half;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.MalformedDataException;
import io.kvcache.spi.ResidualCompressor;
import io.kvcache.testkit.KvSamples;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What base and residual take together and apart, and residuals that are none. */
class BaseAndResidualTest {
  private static final List<ResidualCompressor> CODECS =
      List.of(Compressors.exactInt8(), Compressors.exactInt4());

  /** Goal: a lossy and an exact variant in one, for much less than both side by side. */
  @ParameterizedTest
  @EnumSource
  void savesOverTwoVariantsOfRealKv(KvHalf which) throws Exception {
    for (ResidualCompressor codec : CODECS) {
      double raw = 0;
      double base = 0;
      double residual = 0;
      double lossless = 0;
      for (Half half : RealKvTest.readSample()) {
        if (half.shape().half() == which) {
          MemorySegment stored = encode(codec, half.shape(), MemorySegment.ofArray(half.bytes()));
          raw += half.bytes().length;
          base += codec.baseOf(stored).byteSize();
          residual += codec.residualOf(stored).byteSize();
          lossless +=
              encode(Compressors.zstd(), half.shape(), MemorySegment.ofArray(half.bytes())).byteSize();
        }
      }
      System.out.printf("%s, %s: base %.3f and residual %.3f are %.3f of raw; zstd alone %.3f%n", which,
          codec.name(), base / raw, residual / raw, (base + residual) / raw, lossless / raw);
      assertTrue(base + residual < raw, which + " " + codec.name());
      assertTrue(residual < 0.9 * lossless, which + " " + codec.name());
    }
  }

  /** Decisions rest on it before anything was stored. */
  @Test
  void usualSizesAreCloseToThoseOfOrdinaryContent() {
    for (ResidualCompressor codec : CODECS) {
      for (DType dtype : new DType[] {DType.BF16, DType.F16, DType.F32}) {
        for (KvHalf which : KvHalf.values()) {
          KvShape shape = new KvShape(which, 256, 8, 64, dtype);
          double stored = encode(codec, shape, KvSamples.REALISTIC.fill(shape, 7)).byteSize();
          assertEquals(1, codec.usualStoredBytes(shape) / stored, 0.2, codec.name() + " " + shape);
        }
      }
    }
  }

  @Test
  void groupsAreThoseOfTheBase() throws MalformedDataException {
    KvShape shape = new KvShape(KvHalf.KEYS, 70, 2, 40, DType.F16);
    MemorySegment source = KvSamples.REALISTIC.fill(shape, 7);
    for (ResidualCompressor codec : List.of(Compressors.exactInt8(32), Compressors.exactInt8(64),
        Compressors.exactInt4(32), Compressors.exactInt4(64))) {
      MemorySegment target = MemorySegment.ofArray(new byte[(int) shape.bytes()]);
      // What was encoded with one size decodes by a codec made for the other.
      CODECS.get(codec.codec() - 14).decompress(shape, codec.parameters(), encode(codec, shape, source),
          target);
      assertEquals(-1, source.mismatch(target), codec.name() + " " + codec.parameters());
    }
    assertThrows(IllegalArgumentException.class, () -> Compressors.exactInt8(16));
  }

  /** A residual whose planes expand to more, or less, than they are. */
  @Test
  void refusesBombs() throws MalformedDataException {
    KvShape shape = new KvShape(KvHalf.VALUES, 256, 1, 256, DType.BF16);
    for (int size : new int[] {1 << 23, (1 << 16) + 1, (1 << 16) - 1, 0}) {
      byte[] frame = Zstd.compress(new byte[size]);
      ByteBuffer residual = ByteBuffer.allocate(10 + 2 * (4 + frame.length)).order(ByteOrder.LITTLE_ENDIAN);
      for (int plane = 0; plane < 2; plane++) {
        residual.put((byte) 3).putInt(4 + frame.length);
      }
      for (int plane = 0; plane < 2; plane++) {
        residual.putInt(frame.length).put(frame);
      }
      MemorySegment target = MemorySegment.ofArray(new byte[(int) shape.bytes()]);
      assertThrows(MalformedDataException.class,
          () -> CODECS.get(0).restore(shape, MemorySegment.ofArray(residual.array()), target));
    }
  }

  /** Goal: what belongs to halves of another shape is refused for its length. */
  @Test
  void refusesPartsOfOtherShapes() throws MalformedDataException {
    KvShape shape = new KvShape(KvHalf.VALUES, 64, 2, 32, DType.BF16);
    KvShape wider = new KvShape(KvHalf.VALUES, 64, 2, 33, DType.BF16);
    for (ResidualCompressor codec : CODECS) {
      MemorySegment stored = encode(codec, wider, KvSamples.NOISE.fill(wider, 1));
      MemorySegment target = MemorySegment.ofArray(new byte[(int) shape.bytes()]);
      MemorySegment residual = codec.residualOf(stored);
      assertThrows(MalformedDataException.class, () -> codec.restore(shape, residual, target));
      assertThrows(MalformedDataException.class,
          () -> codec.decompress(shape, codec.parameters(), stored, target));
    }
  }

  private static MemorySegment encode(Compressor codec, KvShape shape, MemorySegment source) {
    MemorySegment room = MemorySegment.ofArray(new byte[(int) codec.maxStoredBytes(shape)]);
    return room.asSlice(0, codec.compress(shape, source, room));
  }
}
