package io.kvcache.compress;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeout;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.github.luben.zstd.Zstd;
import com.github.luben.zstd.ZstdCompressCtx;
import io.kvcache.DType;
import io.kvcache.KvHalf;
import io.kvcache.KvShape;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.MalformedDataException;
import io.kvcache.testkit.KvSamples;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;
import java.util.Arrays;
import java.util.HexFormat;
import net.jpountz.lz4.LZ4Factory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What is particular to byte planes: their directory, and blocks that are not what it says. */
class BytePlanesTest {
  /** One plane of 64 KiB. */
  private static final KvShape OPAQUE = new KvShape(KvHalf.VALUES, 256, 1, 256, DType.OPAQUE);
  private static final int N = 1 << 16;

  /** The coders, apart from the codec. */
  private enum Coder {
    LZ4(1, Compressors.lz4()), JAVA_LZ4(1, BytePlanes.lz4(LZ4Factory.safeInstance())), ZSTD(3,
        Compressors.zstd());

    final int coding;
    final Compressor codec;

    Coder(int coding, Compressor codec) {
      this.coding = coding;
      this.codec = codec;
    }

    /** An LZ4 block or a Zstandard frame that decodes to {@code plane}. */
    byte[] block(byte[] plane) {
      return this == ZSTD ? Zstd.compress(plane) : LZ4Factory.safeInstance().fastCompressor().compress(plane);
    }

    /** A body of a single block. */
    byte[] body(byte[] block) {
      return this == ZSTD ? frames(block) : block;
    }

    byte[] bodyOf(byte[] plane) {
      return body(block(plane));
    }
  }

  /** Goal: the blocks below are refused for what they hold, not for how they are made. */
  @ParameterizedTest
  @EnumSource
  void readsWhatAnotherEncoderWrote(Coder coder) throws MalformedDataException {
    byte[] plane = plane(N);
    byte[] decoded = decode(coder, stored(coder.coding, coder.bodyOf(plane)));
    assertEquals(-1, Arrays.mismatch(plane, decoded));
  }

  /** A bomb: small, and valid but for its size. What it expands to is never held anywhere. */
  @ParameterizedTest
  @EnumSource
  void refusesBlocksOfOtherSizes(Coder coder) {
    for (int size : new int[] {N + 1, 2 * N, 1 << 23, N - 1, N / 2, 1}) {
      assertRefused(coder, stored(coder.coding, coder.bodyOf(new byte[size])));
    }
    assertRefused(coder, stored(coder.coding, new byte[0]));
  }

  /** Goal: a short block does not leave the rest of the plane to what an earlier call left there. */
  @ParameterizedTest
  @EnumSource
  void neverServesWhatAnEarlierCallLeft(Coder coder) throws MalformedDataException {
    byte[] secret = plane(N);
    decode(coder, stored(0, secret));
    byte[] whole = coder.block(new byte[N]);
    for (int length = 0; length < whole.length; length++) {
      assertRefused(coder, stored(coder.coding, coder.body(Arrays.copyOf(whole, length))));
    }
  }

  @ParameterizedTest
  @EnumSource
  void refusesCodingsThatAreNotItsOwn(Coder coder) {
    byte[] block = coder.bodyOf(new byte[N]);
    for (int coding = 0; coding < 256; coding++) {
      if (coding != coder.coding && coding != coder.coding + 1) {
        assertRefused(coder, stored(coding, block));
      }
    }
    for (Coder other : Coder.values()) {
      if (other.coding != coder.coding) {
        assertRefused(coder, stored(other.coding, other.bodyOf(new byte[N])));
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void refusesLengthsThatDoNotAddUp(Coder coder) {
    byte[] block = coder.bodyOf(new byte[N]);
    for (int length : new int[] {-1, Integer.MIN_VALUE, Integer.MAX_VALUE, N + 1, block.length + 1,
      block.length - 1, 0}) {
      byte[] stored = stored(coder.coding, block);
      ByteBuffer.wrap(stored).order(ByteOrder.LITTLE_ENDIAN).putInt(1, length);
      assertRefused(coder, stored);
    }
    assertRefused(coder, stored(coder.coding, new byte[N + 1]));
    assertRefused(coder, stored(0, new byte[N + 1]));
    assertRefused(coder, stored(0, new byte[N - 1]));
  }

  /** Goal: bounded time. Method: bodies of as many blocks as fit, none of which yields a byte. */
  @ParameterizedTest
  @ValueSource(strings = {
    "28b52ffd2000010000", // frames without content
    "502a4d1800000000", // frames to be skipped
  })
  void refusesManyEmptyFramesSoon(String empty) {
    KvShape shape = new KvShape(KvHalf.VALUES, 1024, 1, 1024, DType.OPAQUE);
    byte[] frame = HexFormat.of().parseHex(empty);
    byte[] many = new byte[(1 << 20) - 64];
    for (int at = 0; at + frame.length <= many.length; at += frame.length) {
      System.arraycopy(frame, 0, many, at, frame.length);
    }
    byte[] stored = stored(3, frames(many));
    assertTimeout(Duration.ofSeconds(10), () -> assertThrows(MalformedDataException.class,
        () -> Compressors.zstd().decompress(shape, 0, MemorySegment.ofArray(stored),
            MemorySegment.ofArray(new byte[1 << 20]))));
  }

  /** Goal: as for frames, for the empty blocks within one. */
  @Test
  void refusesManyEmptyBlocksSoon() {
    byte[] head = HexFormat.of().parseHex("28b52ffd" + "00" + "58"); // a window, no size
    byte[] body = Arrays.copyOf(head, head.length + 3 * 20_000); // raw blocks of no byte, none of them the last
    assertTimeout(Duration.ofSeconds(10), () -> assertRefused(Coder.ZSTD, stored(3, frames(body))));
  }

  /** A frame may call for windows up to terabytes; decoding in one go needs none. */
  @Test
  void isNotMadeToAllocateByWindows() {
    byte[] frame = HexFormat.of().parseHex("28b52ffd" + "00" + "ff" + "010000"); // an empty last block
    assertRefused(Coder.ZSTD, stored(3, frames(frame)));
  }

  @Test
  void refusesDictionariesAndWrongChecksums() throws MalformedDataException {
    byte[] plane = plane(N);
    byte[] dictionary = new byte[1000];
    byte[] other = plane(1000);
    System.arraycopy(other, 0, dictionary, 0, 1000);
    assertRefused(Coder.ZSTD, stored(3, frames(Zstd.compressUsingDict(plane, dictionary, 1))));
    byte[] frame;
    try (ZstdCompressCtx context = new ZstdCompressCtx().setChecksum(true)) {
      frame = context.compress(plane);
    }
    assertEquals(-1, Arrays.mismatch(plane, decode(Coder.ZSTD, stored(3, frames(frame)))));
    frame[frame.length - 1] ^= 1;
    assertRefused(Coder.ZSTD, stored(3, frames(frame)));
  }

  @ParameterizedTest
  @ValueSource(ints = {-1, Integer.MIN_VALUE, Integer.MAX_VALUE, 1 << 20, 0, 1})
  void refusesFrameLengthsThatDoNotAddUp(int length) {
    byte[] body = Coder.ZSTD.bodyOf(new byte[N]);
    ByteBuffer.wrap(body).order(ByteOrder.LITTLE_ENDIAN).putInt(0, length);
    assertRefused(Coder.ZSTD, stored(3, body));
  }

  @Test
  void refusesBytesBehindTheLastFrame() {
    byte[] block = Coder.ZSTD.bodyOf(new byte[N]);
    for (int extra : new int[] {1, 3, 4, 5, block.length}) {
      assertRefused(Coder.ZSTD, stored(3, Arrays.copyOf(block, block.length + extra)));
    }
  }

  /** Goal: a plane of more than 64 KiB has a frame for each of those and one for the rest. */
  @Test
  void largePlanesHaveSeveralFrames() throws MalformedDataException {
    KvShape shape = new KvShape(KvHalf.KEYS, 520, 3, 505, DType.FP8);
    MemorySegment half = KvSamples.REALISTIC.fill(shape, 3);
    MemorySegment stored = encode(Compressors.zstd(), shape, half);
    assertTrue(stored.byteSize() < shape.bytes());
    long at = 5;
    int frames = 0;
    while (at < stored.byteSize()) {
      at += 4 + stored.get(Segments.INT, at);
      frames++;
    }
    assertEquals(stored.byteSize(), at);
    assertEquals((shape.bytes() + (1 << 16) - 1) >> 16, frames);
    MemorySegment decoded = MemorySegment.ofArray(new byte[(int) shape.bytes()]);
    Compressors.zstd().decompress(shape, 0, stored, decoded);
    assertEquals(-1, half.mismatch(decoded));
  }

  @Test
  void zstdIsSmallerThanLz4() {
    for (KvHalf which : KvHalf.values()) {
      KvShape shape = new KvShape(which, 256, 8, 64, DType.BF16);
      MemorySegment half = KvSamples.REALISTIC.fill(shape, 7);
      long zstd = encode(Compressors.zstd(), shape, half).byteSize();
      assertTrue(zstd < 0.72 * shape.bytes(), which + " " + zstd);
      assertTrue(zstd < 0.85 * encode(Compressors.lz4(), shape, half).byteSize(), which + " " + zstd);
    }
  }

  /** Some pattern that compresses, but not to nothing. */
  private static byte[] plane(int n) {
    byte[] plane = new byte[n];
    for (int i = 0; i < n; i++) {
      plane[i] = (byte) (i * i >>> 9);
    }
    return plane;
  }

  private static byte[] frames(byte[] frame) {
    return ByteBuffer.allocate(4 + frame.length).order(ByteOrder.LITTLE_ENDIAN).putInt(frame.length)
        .put(frame)
        .array();
  }

  /** A half of one plane with this coding and body. */
  private static byte[] stored(int coding, byte[] body) {
    return ByteBuffer.allocate(5 + body.length).order(ByteOrder.LITTLE_ENDIAN).put((byte) coding)
        .putInt(body.length).put(body).array();
  }

  private static byte[] decode(Coder coder, byte[] stored) throws MalformedDataException {
    byte[] target = new byte[N];
    coder.codec.decompress(OPAQUE, 0, MemorySegment.ofArray(stored), MemorySegment.ofArray(target));
    return target;
  }

  private static void assertRefused(Coder coder, byte[] stored) {
    assertThrows(MalformedDataException.class, () -> decode(coder, stored));
  }

  private static MemorySegment encode(Compressor codec, KvShape shape, MemorySegment source) {
    byte[] room = new byte[(int) codec.maxStoredBytes(shape)];
    long bytes = codec.compress(shape, source, MemorySegment.ofArray(room));
    return MemorySegment
        .ofArray(MemorySegment.ofArray(room).asSlice(0, bytes).toArray(ValueLayout.JAVA_BYTE));
  }
}
