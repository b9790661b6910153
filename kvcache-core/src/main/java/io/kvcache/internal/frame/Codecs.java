package io.kvcache.internal.frame;

import io.kvcache.DType;
import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.Fidelity;
import io.kvcache.KvHalf;
import io.kvcache.KvLayout;
import io.kvcache.KvShape;
import io.kvcache.LayerSpec;
import io.kvcache.spi.Codings;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.MalformedDataException;
import io.kvcache.spi.VariantClass;
import java.lang.foreign.MemorySegment;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The encodings a cache can read and write, by number; immutable. */
public final class Codecs implements Codings {
  /** The number of the identity. */
  public static final int RAW = 0;

  /** The highest number there can be. */
  static final int MAX_NUMBER = 0xFFFF;

  private static final int UNIFORM = 0x80;

  private final Map<Integer, Compressor> byNumber = new HashMap<>();
  private final KvLayout layout;

  /**
   * Raw and these.
   *
   * @throws IllegalArgumentException when two have one number, or one cannot encode {@code layout}
   */
  public Codecs(Collection<? extends Compressor> compressors, KvLayout layout) {
    this.layout = layout;
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

  /** The codec with this number, or null. */
  public Compressor find(int codec) {
    return byNumber.get(codec);
  }

  /** The codec with this number. */
  public Compressor get(int codec) {
    Compressor compressor = byNumber.get(codec);
    if (compressor == null) {
      throw new IllegalArgumentException(
          "no compressor has codec number " + codec + "; known are " + codecs());
    }
    return compressor;
  }

  @Override
  public List<Integer> codecs() {
    return byNumber.keySet().stream().sorted().toList();
  }

  /** The encoding with these numbers. */
  static Encoding encoding(int codec, int method, int percent, boolean uniform)
      throws MalformedDataException {
    DropMethod dropping = DropMethod.numbered(method);
    boolean sound = dropping == DropMethod.NONE ? percent == 100 && !uniform : percent >= 1 && percent <= 99;
    Preamble.require(dropping != null && sound, "dropping method %d keeps %d percent%s", method, percent,
        uniform ? " uniformly" : "");
    return new Encoding(codec, dropping, percent, uniform);
  }

  /** The encoding with these numbers; {@code dropping} is what {@link #dropping} gave. */
  public static Encoding encoding(int codec, int dropping, int percent) throws MalformedDataException {
    return encoding(codec, dropping & ~UNIFORM, percent, (dropping & UNIFORM) != 0);
  }

  /** One number for how an encoding drops tokens, 0 to 255: that of the method, {@value #UNIFORM} more if uniformly. */
  public static int dropping(Encoding encoding) {
    return encoding.dropping().number() | (encoding.uniform() ? UNIFORM : 0);
  }

  /** Full for an exact encoding, serving for another. */
  public VariantClass variantClass(Encoding encoding) {
    return exact(encoding) ? VariantClass.FULL : VariantClass.SERVING;
  }

  /** What decoding gives back. */
  public Fidelity fidelity(Encoding encoding) {
    Fidelity rows = get(encoding.codec()).fidelity();
    return encoding.dropsTokens() ? new Fidelity.Pruned(encoding.retainedFraction(), rows) : rows;
  }

  @Override
  public String name(Encoding encoding) {
    return encoding.name(get(encoding.codec()).name());
  }

  @Override
  public boolean exact(Encoding encoding) {
    return !encoding.dropsTokens() && get(encoding.codec()).fidelity().exact();
  }

  @Override
  public boolean supports(Encoding encoding) {
    return byNumber.containsKey(encoding.codec())
        && (!encoding.dropsTokens()
            || layout.layers().stream().noneMatch(layer -> layer.dtype() == DType.OPAQUE));
  }

  /** Of dropped tokens as much is taken to be lost as there are of them. */
  @Override
  public double nominalQuality(Encoding encoding) {
    return get(encoding.codec()).nominalQuality() * encoding.retainedFraction();
  }

  @Override
  public long expectedChunkBytes(Encoding encoding) {
    Compressor compressor = get(encoding.codec());
    double bytes = 0;
    for (LayerSpec layer : layout.layers()) {
      for (KvHalf half : KvHalf.values()) {
        KvShape shape = layer.shape(half, layout.chunkTokens());
        bytes += shape.bytes() == 0 ? 0 : compressor.usualStoredBytes(shape) * encoding.retainedFraction();
      }
    }
    return (long) Math.ceil(bytes);
  }

  @Override
  public boolean reencodable(Encoding from, Encoding to) {
    if (exact(from) || from.equals(to)) {
      return true;
    }
    Compressor now = get(from.codec());
    Compressor then = get(to.codec());
    return from.keepsAs(to) && (now.fidelity().exact()
        || (!then.fidelity().exact() && then.nominalQuality() < now.nominalQuality()));
  }

  /**
   * Checks that a frame's encoding is known and as exact as its class says, and that no half is longer than the
   * encoding could make it: twice the bound of the compressor at hand, which may have other parameters.
   */
  void requireFits(FrameHeader header, VariantClass variantClass) throws MalformedDataException {
    Encoding encoding = header.encoding();
    Compressor compressor = byNumber.get(encoding.codec());
    Preamble.require(compressor != null, "codec %d is not among %s", encoding.codec(), codecs());
    Preamble.require(variantClass(encoding) == variantClass, "a %s frame is encoded by %s", variantClass,
        name(encoding));
    for (int layer = 0; layer < header.plan().layers(); layer++) {
      for (KvHalf half : KvHalf.values()) {
        KvShape shape = header.plan().shape(header.kept(), layer, half);
        long stored = header.halves().storedBytes(layer, half);
        // A half without bytes was found to have none when the header was read.
        boolean fits = shape == null || (encoding.codec() == RAW
            ? stored == shape.bytes()
            : stored <= 2 * compressor.maxStoredBytes(shape));
        Preamble.require(fits, "%s of layer %d have %d bytes, more or fewer than %s makes of %d", half, layer,
            stored, compressor.name(), shape == null ? 0 : shape.bytes());
      }
    }
  }

  /**
   * Decodes a verified half of a frame that {@linkplain #requireFits fits}. A codec that throws what it should not is
   * a miss as well, unless it is because the memory it was given is gone or another thread's.
   */
  void decode(FrameHeader header, KvShape shape, MemorySegment stored, MemorySegment target)
      throws MalformedDataException {
    Compressor compressor = get(header.encoding().codec());
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
