package io.kvcache.testkit;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.KvShape;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.MalformedDataException;
import io.kvcache.spi.ResidualCompressor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * What every {@link ResidualCompressor} must do beyond {@link CompressorContract}: base and residual are of use alone.
 */
public abstract class ResidualCompressorContract extends CompressorContract {
  private static final long SEED = Long.getLong("test.seed", 20261125);

  @Override
  protected abstract ResidualCompressor newCompressor();

  @Test
  void isExactOverALossyBase() {
    ResidualCompressor codec = newCompressor();
    assertTrue(codec.fidelity().exact());
    assertFalse(codec.base().fidelity().exact());
    assertEquals(codec.parameters(), codec.base().parameters());
  }

  /** Goal: an entry encoded by the base's codec, elsewhere, will do as the base. */
  @ParameterizedTest
  @MethodSource("shapes")
  void baseIsWhatTheBaseCodecStores(KvShape shape) throws MalformedDataException {
    ResidualCompressor codec = newCompressor();
    if (!codec.supports(shape)) {
      return;
    }
    for (KvSamples sample : KvSamples.values()) {
      MemorySegment source = sample.fill(shape, SEED);
      MemorySegment stored = MemorySegment.ofArray(encode(codec, shape, source));
      byte[] base = encode(codec.base(), shape, source);
      assertArrayEquals(base, codec.baseOf(stored).toArray(ValueLayout.JAVA_BYTE), sample + " " + shape);
      long residual = codec.residualOf(stored).byteSize();
      MemorySegment beginning = stored.asSlice(0, stored.byteSize() - residual);
      assertArrayEquals(base, codec.baseOf(beginning).toArray(ValueLayout.JAVA_BYTE), sample + " " + shape);
    }
  }

  /** Goal: exact bits from base and residual, wherever each comes from. Method: nothing else is left of them. */
  @ParameterizedTest
  @MethodSource("shapes")
  void residualRestoresWhatTheBaseLost(KvShape shape) throws MalformedDataException {
    ResidualCompressor codec = newCompressor();
    if (!codec.supports(shape)) {
      return;
    }
    for (KvSamples sample : KvSamples.values()) {
      MemorySegment source = sample.fill(shape, SEED);
      MemorySegment stored = MemorySegment.ofArray(encode(codec, shape, source));
      byte[] residual = codec.residualOf(stored).toArray(ValueLayout.JAVA_BYTE);
      MemorySegment target = decodedBase(codec, shape, source);
      codec.restore(shape, MemorySegment.ofArray(residual).asReadOnly(), target);
      assertEquals(-1, source.mismatch(target), sample + " " + shape);
    }
  }

  private static MemorySegment decodedBase(ResidualCompressor codec, KvShape shape, MemorySegment source)
      throws MalformedDataException {
    Compressor base = codec.base();
    MemorySegment target = MemorySegment.ofArray(new byte[Math.toIntExact(shape.bytes())]);
    base.decompress(shape, base.parameters(), MemorySegment.ofArray(encode(base, shape, source)), target);
    return target;
  }

  /** Goal: damaged residuals are refused or restore something, and any other length is refused. */
  @ParameterizedTest
  @MethodSource("shapes")
  void survivesDamagedResiduals(KvShape shape) throws MalformedDataException {
    ResidualCompressor codec = newCompressor();
    if (!codec.supports(shape)) {
      return;
    }
    MemorySegment source = KvSamples.REALISTIC.fill(shape, SEED);
    byte[] residual =
        codec.residualOf(MemorySegment.ofArray(encode(codec, shape, source))).toArray(ValueLayout.JAVA_BYTE);
    SplittableRandom random = new SplittableRandom(SEED);
    for (int round = 0; round < 100; round++) {
      byte[] damaged = residual.clone();
      int range = round % 2 == 0 ? Math.min(24, damaged.length) : damaged.length;
      damaged[random.nextInt(range)] ^= (byte) (1 << random.nextInt(8));
      restores(codec, shape, damaged);
      byte[] noise = new byte[random.nextInt(2 * residual.length + 2)];
      random.nextBytes(noise);
      restores(codec, shape, noise);
    }
    for (int length = 0; length < residual.length; length += 1 + residual.length / 100) {
      assertFalse(restores(codec, shape, Arrays.copyOf(residual, length)));
    }
    assertFalse(restores(codec, shape, Arrays.copyOf(residual, residual.length + 1)));
  }

  /** Whether the residual was taken. Fails on any outcome but that or {@link MalformedDataException}. */
  private static boolean restores(ResidualCompressor codec, KvShape shape, byte[] residual) {
    MemorySegment target = MemorySegment.ofArray(new byte[Math.toIntExact(shape.bytes())]);
    try {
      codec.restore(shape, MemorySegment.ofArray(residual), target);
      return true;
    } catch (MalformedDataException e) {
      return false;
    }
  }

  /** Goal: a base never reaches beyond what is there. */
  @Test
  void refusesBasesThatCannotBe() {
    ResidualCompressor codec = newCompressor();
    KvShape shape = shapes().filter(codec::supports).findFirst().orElseThrow();
    byte[] stored = encode(codec, shape, KvSamples.REALISTIC.fill(shape, SEED));
    for (int length = 0; length < 4; length++) {
      MemorySegment cut = MemorySegment.ofArray(stored).asSlice(0, length);
      assertThrows(MalformedDataException.class, () -> codec.baseOf(cut));
      assertThrows(MalformedDataException.class, () -> codec.residualOf(cut));
    }
    for (int bytes : new int[] {-1, Integer.MIN_VALUE, Integer.MAX_VALUE, stored.length - 3}) {
      byte[] damaged = stored.clone();
      ByteBuffer.wrap(damaged).order(ByteOrder.LITTLE_ENDIAN).putInt(0, bytes);
      MemorySegment segment = MemorySegment.ofArray(damaged);
      assertThrows(MalformedDataException.class, () -> codec.baseOf(segment));
      assertThrows(MalformedDataException.class, () -> codec.residualOf(segment));
      assertThrows(MalformedDataException.class, () -> codec.decompress(shape, codec.parameters(), segment,
          MemorySegment.ofArray(new byte[Math.toIntExact(shape.bytes())])));
    }
  }
}
