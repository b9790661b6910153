package io.kvcache.compress;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.ChunkKey;
import io.kvcache.DType;
import io.kvcache.Encoding;
import io.kvcache.KvHalf;
import io.kvcache.KvLayout;
import io.kvcache.KvShape;
import io.kvcache.LayerSpec;
import io.kvcache.internal.frame.Codecs;
import io.kvcache.internal.frame.FrameHeader;
import io.kvcache.internal.frame.FramePlan;
import io.kvcache.internal.frame.FrameReader;
import io.kvcache.internal.frame.FrameWriter;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.MalformedDataException;
import io.kvcache.spi.TierTrait;
import io.kvcache.spi.TierView;
import io.kvcache.spi.TierWrite;
import io.kvcache.spi.VariantClass;
import io.kvcache.testkit.Damage;
import io.kvcache.testkit.ForwardingCompressor;
import io.kvcache.testkit.KvSamples;
import io.kvcache.testkit.MemoryTier;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.Named;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Goal: a frame whose checksums are all right is safe to read even though what it holds is not what its codec writes:
 * each half is refused, or decodes to what its bytes say and nothing else. Method: a writer of frames whose codec
 * damages what it writes, or goes by another's number or with other parameters; a reader with all codecs of the list.
 */
class ForgedFrameTest {
  private static final KvLayout LAYOUT = new KvLayout(List.of(new LayerSpec(2, 8, 8, DType.BF16, 0),
      new LayerSpec(1, 5, 3, DType.F16, 0), new LayerSpec(1, 4, 0, DType.F32, 0)), 32);
  private static final FramePlan PLAN =
      new FramePlan(LAYOUT, LAYOUT.toString().getBytes(StandardCharsets.UTF_8));
  private static final Codecs CODECS = new Codecs(Compressors.all(), LAYOUT);
  private static final ChunkKey KEY = new ChunkKey(1, 2, 3, 4);
  private static final int FRAMES = 400;

  static Stream<Named<Compressor>> codecs() {
    return Compressors.all().stream().map(codec -> Named.of(codec.name(), codec));
  }

  /** Writes what a codec writes, damaged, under a number and with parameters of its choice. */
  private static final class Forger extends ForwardingCompressor {
    private final Compressor named;
    private final int parameters;
    private final Damage damage;

    Forger(Compressor inner, Compressor named, int parameters, Damage damage) {
      super(inner);
      this.named = named;
      this.parameters = parameters;
      this.damage = damage;
    }

    @Override
    public int codec() {
      return named.codec();
    }

    @Override
    public int parameters() {
      return parameters;
    }

    @Override
    public long maxStoredBytes(KvShape shape) {
      return 2 * (super.maxStoredBytes(shape) + 300);
    }

    @Override
    public long compress(KvShape shape, MemorySegment source, MemorySegment target) {
      byte[] stored = target.asSlice(0, super.compress(shape, source, target)).toArray(ValueLayout.JAVA_BYTE);
      byte[] forged = damage == null ? stored : damage.to(stored, stored);
      long bytes = Math.clamp(forged.length, 1, target.byteSize());
      MemorySegment.copy(MemorySegment.ofArray(forged), 0, target, 0, Math.min(bytes, forged.length));
      return bytes;
    }
  }

  private final SplittableRandom random = new SplittableRandom(Long.getLong("test.seed", 20261123));

  @ParameterizedTest
  @MethodSource("codecs")
  void unforgedFramesAreRead(Compressor codec) throws IOException, MalformedDataException {
    assertEquals(5, halvesTaken(codec, new Forger(codec, codec, codec.parameters(), null)));
  }

  @ParameterizedTest
  @MethodSource("codecs")
  void damagedHalvesBehindRightChecksums(Compressor codec) throws IOException {
    int taken = 0;
    for (int frame = 0; frame < FRAMES; frame++) {
      taken += halvesTaken(codec, new Forger(codec, codec, codec.parameters(), new Damage(random)));
    }
    assertTrue(taken < FRAMES * 4, taken + " of " + FRAMES * 5 + " halves taken");
  }

  @ParameterizedTest
  @MethodSource("codecs")
  void halvesOfAnotherCodec(Compressor named) throws IOException {
    for (Compressor inner : Compressors.all()) {
      halvesTaken(named, new Forger(inner, named, named.parameters(), null));
      halvesTaken(named, new Forger(inner, named, inner.parameters(), null));
    }
  }

  @ParameterizedTest
  @MethodSource("codecs")
  void wrongParameters(Compressor codec) throws IOException {
    for (int bit = 0; bit < 32; bit++) {
      halvesTaken(codec, new Forger(codec, codec, codec.parameters() ^ 1 << bit, null));
      halvesTaken(codec, new Forger(codec, codec, random.nextInt() >>> bit, new Damage(random)));
    }
  }

  /** How many of the five halves are decoded; whether they may be is up to the codec, and to what was forged. */
  private static int halvesTaken(Compressor named, Compressor forger) throws IOException {
    VariantClass variant = named.fidelity().exact() ? VariantClass.FULL : VariantClass.SERVING;
    EntryId id = new EntryId(KEY, variant);
    try (MemoryTier tier = new MemoryTier("memory", 1 << 20, Set.of(TierTrait.ADDRESSABLE))) {
      write(tier, id, forger);
      try (TierView view = tier.view(id).orElseThrow()) {
        return halvesTaken(view, id);
      }
    }
  }

  private static void write(MemoryTier tier, EntryId id, Compressor forger) throws IOException {
    try (TierWrite claimed = tier.create(id, new byte[1], PLAN.maxPartBytes(forger)).orElseThrow();
        FrameWriter writer = new FrameWriter(PLAN, forger, claimed)) {
      for (int layer = 0; layer < LAYOUT.layers().size(); layer++) {
        for (KvHalf half : KvHalf.values()) {
          KvShape shape = LAYOUT.layer(layer).shape(half, LAYOUT.chunkTokens());
          writer.encode(layer, half, KvSamples.REALISTIC.fill(shape, 11));
        }
      }
      writer.commit(FrameHeader.Fields.original(id, 7, KEY, KEY, 0, Encoding.of(forger.codec()),
          forger.parameters(), 0, 0));
    }
  }

  private static int halvesTaken(TierView view, EntryId id) {
    FrameReader reader;
    try {
      reader = new FrameReader(FrameHeader.read(PLAN, view.part(0), id, 7), CODECS, id, 7);
    } catch (MalformedDataException refused) {
      return 0;
    }
    int taken = 0;
    for (int layer = 0; layer < LAYOUT.layers().size(); layer++) {
      for (KvHalf half : KvHalf.values()) {
        long bytes = LAYOUT.layer(layer).shape(half, LAYOUT.chunkTokens()).bytes();
        if (bytes > 0) {
          taken += taken(reader, view, layer, half, (int) bytes) ? 1 : 0;
        }
      }
    }
    return taken;
  }

  /** Decodes twice, into targets that hold different bytes before. */
  private static boolean taken(FrameReader reader, TierView view, int layer, KvHalf half, int bytes) {
    MemorySegment[] targets = new MemorySegment[2];
    try {
      for (int time = 0; time < targets.length; time++) {
        targets[time] = MemorySegment.ofArray(new byte[bytes]).fill((byte) (time == 0 ? 0x3c : 0xc3));
        reader.layer(view.part(PLAN.partOf(layer)), layer).decode(half, targets[time]);
      }
    } catch (MalformedDataException refused) {
      return false;
    }
    assertEquals(-1, targets[0].mismatch(targets[1]), half + " of layer " + layer);
    return true;
  }
}
