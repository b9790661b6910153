package io.kvcache.internal.frame;

import io.kvcache.KvHalf;
import io.kvcache.KvLayout;
import io.kvcache.KvShape;
import io.kvcache.LayerSpec;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.MalformedDataException;
import io.kvcache.spi.VariantClass;
import java.lang.foreign.MemorySegment;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The encodings a cache can read and write, by number; immutable. */
public final class Codecs {
  /** The number of the identity. */
  public static final int RAW = 0;

  /** The highest number there can be. */
  static final int MAX_NUMBER = 0xFFFF;

  private final Map<Integer, Compressor> byNumber = new HashMap<>();

  /**
   * Raw and these.
   *
   * @throws IllegalArgumentException when two have one number, or one cannot encode {@code layout}
   */
  public Codecs(Collection<? extends Compressor> compressors, KvLayout layout) {
    byNumber.put(RAW, new RawCodec());
    for (Compressor compressor : compressors) {
      int number = compressor.codec();
      if (number < 1 || number > MAX_NUMBER) {
        throw new IllegalArgumentException(
            "codec number of " + compressor.name() + " is " + number + ", must be 1 to " + MAX_NUMBER);
      }
      Compressor other = byNumber.putIfAbsent(number, compressor);
      if (other != null) {
        throw new IllegalArgumentException(
            "codec number " + number + " is both " + other.name() + " and " + compressor.name());
      }
      requireSupport(compressor, layout);
    }
  }

  private static void requireSupport(Compressor compressor, KvLayout layout) {
    for (LayerSpec layer : layout.layers()) {
      for (KvHalf half : KvHalf.values()) {
        KvShape shape = layer.shape(half, layout.chunkTokens());
        if (shape.bytes() > 0 && !compressor.supports(shape)) {
          throw new IllegalArgumentException(compressor.name() + " cannot encode " + shape);
        }
      }
    }
  }

  /** The encoding with this number, or null. */
  public Compressor find(int codec) {
    return byNumber.get(codec);
  }

  /** The encoding with this number. */
  public Compressor get(int codec) {
    Compressor compressor = byNumber.get(codec);
    if (compressor == null) {
      throw new IllegalArgumentException(
          "no compressor has codec number " + codec + "; known are " + numbers());
    }
    return compressor;
  }

  /** Numbers of all encodings, ascending. */
  public List<Integer> numbers() {
    return byNumber.keySet().stream().sorted().toList();
  }

  /** Full for a lossless encoding, serving for another. */
  public VariantClass variantClass(int codec) {
    return get(codec).fidelity().exact() ? VariantClass.FULL : VariantClass.SERVING;
  }

  /**
   * Checks that a frame's encoding is known and as exact as its class says, and that no half is longer than the
   * encoding could make it: twice the bound of the compressor at hand, which may have other parameters.
   */
  void requireFits(FrameHeader header, VariantClass variantClass) throws MalformedDataException {
    Compressor compressor = byNumber.get(header.codec());
    Preamble.require(compressor != null, "codec %d is not among %s", header.codec(), numbers());
    Preamble.require(variantClass(header.codec()) == variantClass, "a %s frame is encoded by %s",
        variantClass,
        compressor.name());
    KvLayout layout = header.plan().layout();
    for (int layer = 0; layer < layout.layers().size(); layer++) {
      for (KvHalf half : KvHalf.values()) {
        KvShape shape = layout.layer(layer).shape(half, layout.chunkTokens());
        long stored = header.halves().storedBytes(layer, half);
        boolean fits = header.codec() == RAW || shape.bytes() == 0
            ? stored == shape.bytes()
            : stored <= 2 * compressor.maxStoredBytes(shape);
        Preamble.require(fits, "%s of layer %d have %d bytes, more or fewer than %s makes of %d", half, layer,
            stored, compressor.name(), shape.bytes());
      }
    }
  }

  /**
   * Decodes a verified half of a frame that {@linkplain #requireFits fits}. A codec that throws what it should not is
   * a miss as well, unless it is because the memory it was given is gone or another thread's.
   */
  void decode(FrameHeader header, KvShape shape, MemorySegment stored, MemorySegment target)
      throws MalformedDataException {
    Compressor compressor = get(header.codec());
    try {
      compressor.decompress(shape, header.parameters(), stored, target);
    } catch (RuntimeException e) {
      if (!usable(stored) || !usable(target)) {
        throw e;
      }
      throw new MalformedDataException(compressor.name() + " failed on " + shape + ": " + e);
    }
  }

  private static boolean usable(MemorySegment segment) {
    return segment.scope().isAlive() && segment.isAccessibleBy(Thread.currentThread());
  }
}
