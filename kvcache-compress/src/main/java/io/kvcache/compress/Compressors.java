package io.kvcache.compress;

import io.kvcache.spi.Compressor;
import io.kvcache.spi.ResidualCompressor;
import java.util.ArrayList;
import java.util.List;

/** The codecs of this module. All are stateless to their callers, thread-safe, and cheap to create. */
public final class Compressors {
  private Compressors() {}

  /** Lossless: byte planes, each coded with LZ4 where that pays. Codec 1, for every element type. */
  public static Compressor lz4() {
    return BytePlanes.lz4();
  }

  /**
   * Lossless: as {@link #lz4()}, with Zstandard instead of LZ4: smaller, and slower. Codec 4, for every element
   * type. There is no Zstandard in Java: what it has stored is a miss where native code cannot be loaded.
   *
   * @throws IllegalStateException when this JVM denies native access to Zstandard, or the platform has none;
   *     {@code --enable-native-access=com.github.luben.zstd_jni} allows it, {@code ALL-UNNAMED} where it is on
   *     the class path
   */
  public static Compressor zstd() {
    return BytePlanes.zstd();
  }

  /** {@link #exactInt8(int)} with groups of 64: 0.53 of the bytes of bf16 for the base, 0.2 more for the residual. */
  public static ResidualCompressor exactInt8() {
    return exactInt8(64);
  }

  /**
   * Lossless, in two parts that can be kept and read apart: an {@link #int8(int)} base, and a residual that makes
   * its result exact. Codec 14, for BF16, F16 and F32.
   *
   * @param groupSize elements that share a scale, 32 or 64; fewer where a half has fewer
   * @throws IllegalStateException as {@link #zstd()}
   */
  public static ResidualCompressor exactInt8(int groupSize) {
    return BaseAndResidual.int8(groupSize);
  }

  /** {@link #exactInt4(int)} with groups of 32: 0.31 of the bytes of bf16 for the base, 0.5 more for the residual. */
  public static ResidualCompressor exactInt4() {
    return exactInt4(32);
  }

  /** As {@link #exactInt8(int)}, with an {@link #int4(int)} base. Codec 15. */
  public static ResidualCompressor exactInt4(int groupSize) {
    return BaseAndResidual.int4(groupSize);
  }

  /** {@link #int8(int)} with groups of 64: 0.53 of the bytes of bf16. */
  public static Compressor int8() {
    return int8(64);
  }

  /**
   * Asymmetric 8-bit quantization in KIVI's form: keys per channel over groups of tokens, values per token
   * over groups of channels. Codec 2, for BF16, F16 and F32. An element's error is at most half its group's
   * scale (a 255th of the group's range, rounded up to binary16) plus the rounding of its type.
   *
   * @param groupSize elements that share a scale, 32 or 64; fewer where a half has fewer
   */
  public static Compressor int8(int groupSize) {
    return GroupQuantizer.int8(groupSize);
  }

  /** {@link #int4(int)} with groups of 32: 0.31 of the bytes of bf16. */
  public static Compressor int4() {
    return int4(32);
  }

  /**
   * Asymmetric 4-bit quantization, otherwise as {@link #int8(int)}. Codec 3. The scale is a 15th of the
   * group's range.
   *
   * @param groupSize elements that share a scale, 32 or 64; fewer where a half has fewer
   */
  public static Compressor int4(int groupSize) {
    return GroupQuantizer.int4(groupSize);
  }

  /** {@link #int2(int)} with groups of 32: 0.19 of the bytes of bf16. */
  public static Compressor int2() {
    return int2(32);
  }

  /**
   * Asymmetric 2-bit quantization, otherwise as {@link #int8(int)}. Codec 5. The scale is a third of the group's
   * range.
   *
   * @param groupSize elements that share a scale, 32 or 64; fewer where a half has fewer
   */
  public static Compressor int2(int groupSize) {
    return GroupQuantizer.int2(groupSize);
  }

  /**
   * Quantization with entropy coding, after CacheGen: less bytes than {@link #int8(int)} or {@link #int4(int)} for the
   * same error, and slower. Codecs 10 to 13, for BF16, F16 and F32.
   *
   * @param level 0, about as close as int8, to 3, which is very small
   */
  public static Compressor entropy(int level) {
    if (level < 0 || level >= EntropyLevel.values().length) {
      throw new IllegalArgumentException(
          "level is " + level + ", must be 0 to " + (EntropyLevel.values().length - 1));
    }
    return new EntropyQuantizer(EntropyLevel.values()[level]);
  }

  /** What a cache usually wants, most faithful first. */
  public static List<Compressor> standard() {
    return List.of(lz4(), int8(), int4());
  }

  /**
   * Every codec of this module that this JVM can run, most faithful first; what works on all of them goes by this
   * list.
   */
  public static List<Compressor> all() {
    List<Compressor> all = new ArrayList<>();
    all.add(lz4());
    if (ZstdCoder.available()) {
      all.add(zstd());
      all.add(exactInt8());
      all.add(exactInt4());
    }
    all.add(int8());
    all.add(entropy(0));
    all.add(entropy(1));
    all.add(int4());
    all.add(entropy(2));
    all.add(entropy(3));
    all.add(int2());
    return List.copyOf(all);
  }
}
