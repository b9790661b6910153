package io.kvcache.internal.frame;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.kvcache.ChunkKey;
import io.kvcache.DType;
import io.kvcache.DropMethod;
import io.kvcache.EncodedLayout;
import io.kvcache.Encoding;
import io.kvcache.KeyChain;
import io.kvcache.KvHalf;
import io.kvcache.KvLayout;
import io.kvcache.LayerSpec;
import io.kvcache.Namespace;
import io.kvcache.TokenScores;
import io.kvcache.Tokens;
import io.kvcache.internal.prune.Kept;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.MalformedDataException;
import io.kvcache.spi.TierTrait;
import io.kvcache.spi.TierView;
import io.kvcache.spi.TierWrite;
import io.kvcache.spi.VariantClass;
import io.kvcache.testkit.MemoryTier;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.function.Function;
import java.util.stream.IntStream;

/** Frames to test with, and what is told about a frame that may be damaged. */
final class Frames {
  /** The layout of the worked example in {@code FORMAT.md}. */
  static final KvLayout EXAMPLE_LAYOUT =
      new KvLayout(List.of(new LayerSpec(1, 2, 1, DType.F16, 0), LayerSpec.opaque(3)), 16);
  static final long EXAMPLE_GENERATION = 0x0123456789abcdefL;
  static final ChunkKey EXAMPLE_ROOT = KeyChain.root(Namespace.of("example/model@1", EXAMPLE_LAYOUT));

  private Frames() {}

  static FramePlan plan(KvLayout layout) {
    return new FramePlan(layout, EncodedLayout.of(layout));
  }

  static List<ChunkKey> exampleKeys() {
    KeyChain chain = KeyChain.of(EXAMPLE_ROOT, 16, Tokens.of(IntStream.rangeClosed(1, 32).toArray()));
    return List.of(chain.key(0), chain.key(1));
  }

  static EntryId exampleId() {
    return new EntryId(exampleKeys().get(1), VariantClass.FULL);
  }

  static FrameHeader.Fields exampleFields() {
    return new FrameHeader.Fields(exampleId(), EXAMPLE_GENERATION, EXAMPLE_ROOT, exampleKeys().get(0), 1,
        Encoding.RAW, 0,
        1_790_000_000_000L, 1_800_000_000_000L, 0);
  }

  /** Keys, then values, of each layer of the worked example. */
  static List<byte[]> exampleHalves() {
    ByteBuffer keys = ByteBuffer.allocate(64).order(ByteOrder.LITTLE_ENDIAN);
    ByteBuffer values = ByteBuffer.allocate(32).order(ByteOrder.LITTLE_ENDIAN);
    byte[] opaque = new byte[48];
    for (int i = 0; i < 48; i++) {
      if (i < 32) {
        keys.putShort(Float.floatToFloat16(i / 2f));
      }
      if (i < 16) {
        values.putShort(Float.floatToFloat16(i == 0 ? 0f : -i));
      }
      opaque[i] = (byte) i;
    }
    return List.of(keys.array(), values.array(), opaque, new byte[0]);
  }

  /** Random halves of a layout, keys and values of each layer. */
  static List<byte[]> randomHalves(KvLayout layout, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    List<byte[]> halves = new ArrayList<>();
    for (LayerSpec layer : layout.layers()) {
      for (KvHalf half : KvHalf.values()) {
        byte[] bytes = new byte[layer.rowBytes(half) * layout.chunkTokens()];
        random.nextBytes(bytes);
        halves.add(bytes);
      }
    }
    return halves;
  }

  /** Gives halves to a writer, in some order. */
  interface Filling {
    void fill(FrameWriter writer) throws Exception;
  }

  static Filling inOrder(List<byte[]> halves) {
    return writer -> {
      for (int index = 0; index < halves.size(); index++) {
        encode(writer, halves, index);
      }
    };
  }

  static long encode(FrameWriter writer, List<byte[]> halves, int index) {
    return writer.encode(index / 2, KvHalf.values()[index % 2], MemorySegment.ofArray(halves.get(index)));
  }

  /** The parts of a frame, through a tier that gives memory full of other bytes. */
  static List<byte[]> write(FramePlan plan, Compressor compressor, FrameHeader.Fields fields,
      Filling filling) {
    return write(fields, plan.maxPartBytes(compressor),
        claimed -> new FrameWriter(plan, compressor, claimed), filling);
  }

  /** The parts of a frame from a writer made for it. */
  static List<byte[]> write(FrameHeader.Fields fields, long[] most, Function<TierWrite, FrameWriter> made,
      Filling filling) {
    try (MemoryTier tier = new MemoryTier("memory", 1L << 30, Set.of(TierTrait.ADDRESSABLE))) {
      long total;
      try (FrameWriter writer = made.apply(tier.create(fields.id(), new byte[1], most).orElseThrow())) {
        filling.fill(writer);
        total = writer.commit(fields);
      }
      try (TierView view = tier.view(fields.id()).orElseThrow()) {
        List<byte[]> parts = new ArrayList<>();
        for (int part = 0; part < view.parts(); part++) {
          parts.add(view.part(part).toArray(Wire.BYTE));
        }
        assertEquals(total, parts.stream().mapToLong(part -> part.length).sum());
        return parts;
      }
    } catch (RuntimeException e) {
      throw e;
    } catch (Exception e) {
      throw new AssertionError(e);
    }
  }

  static List<byte[]> example() {
    return write(plan(EXAMPLE_LAYOUT), new RawCodec(), exampleFields(), inOrder(exampleHalves()));
  }

  /** The layout of the frame in {@code FORMAT.md} that drops tokens. */
  static final KvLayout PRUNED_LAYOUT = new KvLayout(
      List.of(new LayerSpec(2, 2, 1, DType.F16, 0), new LayerSpec(1, 3, 0, DType.BF16, 0),
          LayerSpec.of(1, 1, DType.F32)),
      16);
  static final ChunkKey PRUNED_ROOT = KeyChain.root(Namespace.of("example/model@1", PRUNED_LAYOUT));
  static final KeyChain PRUNED_KEYS =
      KeyChain.of(PRUNED_ROOT, 16, Tokens.of(IntStream.rangeClosed(1, 32).toArray()));
  static final Encoding PRUNED = Encoding.RAW.keeping(DropMethod.KEYDIFF, 25);

  static EntryId prunedId() {
    return new EntryId(PRUNED_KEYS.key(1), VariantClass.SERVING);
  }

  static FrameHeader.Fields prunedFields(Encoding encoding, int parameters) {
    return new FrameHeader.Fields(prunedId(), EXAMPLE_GENERATION, PRUNED_ROOT, PRUNED_KEYS.key(0), 1,
        encoding,
        parameters, 1_790_000_000_000L, 0, 0x0123456789abcdeeL);
  }

  static Kept exampleKept() {
    return Kept.of(PRUNED_LAYOUT, new long[][][] {{{0x8021}, {0x010c}}, {{0x0080}}, {{0}}});
  }

  static List<byte[]> prunedHalves() {
    List<byte[]> halves = randomHalves(PRUNED_LAYOUT, 0);
    for (int half = 0; half < halves.size(); half++) {
      for (int at = 0; at < halves.get(half).length; at++) {
        halves.get(half)[at] = (byte) (7 * at + half / 2);
      }
    }
    return halves;
  }

  static List<byte[]> pruned() {
    FramePlan plan = plan(PRUNED_LAYOUT);
    RawCodec raw = new RawCodec();
    return write(prunedFields(PRUNED, 0), plan.maxPartBytes(raw, exampleKept()),
        claimed -> new FrameWriter(plan, raw, claimed, exampleKept()), inOrder(prunedHalves()));
  }

  static final Encoding PRUNED_UNIFORMLY = Encoding.RAW.keepingUniformly(DropMethod.KEYDIFF, 25);

  static Kept uniformKept() {
    return Kept.uniform(PRUNED_LAYOUT, new long[] {0x8021});
  }

  /** The same chunk, with the same tokens in all layers and heads. */
  static List<byte[]> uniform() {
    FramePlan plan = plan(PRUNED_LAYOUT);
    RawCodec raw = new RawCodec();
    return write(prunedFields(PRUNED_UNIFORMLY, 0), plan.maxPartBytes(raw, uniformKept()),
        claimed -> new FrameWriter(plan, raw, claimed, uniformKept()), inOrder(prunedHalves()));
  }

  /** The scores of the worked example's prompt. */
  static TokenScores exampleScores() {
    float[][][] snap = new float[2][1][32];
    float[][][] expected = new float[2][1][32];
    for (int token = 0; token < 32; token++) {
      snap[0][0][token] = token == 31 ? Float.POSITIVE_INFINITY : token / 3f;
      snap[1][0][token] = -token;
      expected[0][0][token] = 1 + token / 256f;
      expected[1][0][token] = Float.MAX_VALUE;
    }
    return TokenScores.none().with(DropMethod.EXPECTED_ATTENTION, expected).with(DropMethod.SNAPKV, snap);
  }

  /** The worked example, carrying scores. */
  static List<byte[]> scored() {
    FramePlan plan = plan(EXAMPLE_LAYOUT);
    RawCodec raw = new RawCodec();
    return write(exampleFields(), plan.maxPartBytes(raw, exampleScores().methods()),
        claimed -> new FrameWriter(plan, raw, claimed), writer -> {
          inOrder(exampleHalves()).fill(writer);
          writer.scores(ChunkScores.of(EXAMPLE_LAYOUT, exampleScores(), 16));
        });
  }

  static FrameReader open(FramePlan plan, Codecs codecs, byte[] header, EntryId id, long generation)
      throws MalformedDataException {
    FrameHeader read = FrameHeader.read(plan, MemorySegment.ofArray(header), id, generation);
    return new FrameReader(read, codecs, id, generation);
  }

  /** Every half, decoded; fails unless each part also passes as a whole. */
  static List<byte[]> read(FrameReader reader, List<byte[]> parts) throws MalformedDataException {
    KvLayout layout = reader.header().plan().layout();
    for (int part = 1; part < parts.size(); part++) {
      reader.verifyPart(MemorySegment.ofArray(parts.get(part)), part);
    }
    List<byte[]> halves = new ArrayList<>();
    for (int layer = 0; layer < layout.layers().size(); layer++) {
      for (KvHalf half : KvHalf.values()) {
        byte[] target = new byte[layout.layer(layer).rowBytes(half) * layout.chunkTokens()];
        byte[] part = parts.get(reader.header().plan().partOf(layer));
        reader.layer(MemorySegment.ofArray(part), layer).decode(half, MemorySegment.ofArray(target));
        halves.add(target);
      }
    }
    return halves;
  }

  /** A header whose checksums are right again, after something else was changed in it. */
  static void sealHeader(byte[] header) {
    sealPreamble(header);
    MemorySegment bytes = MemorySegment.ofArray(header);
    int end = header.length - Integer.BYTES;
    bytes.set(Wire.INT, end, Checksums.crc(bytes.asSlice(Preamble.BYTES, end - Preamble.BYTES)));
  }

  static void sealPreamble(byte[] part) {
    MemorySegment bytes = MemorySegment.ofArray(part);
    bytes.set(Wire.INT, 60, Checksums.crc(bytes.asSlice(0, 60)));
  }

}
