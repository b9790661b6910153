package io.kvcache.internal.frame;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.ChunkKey;
import io.kvcache.DType;
import io.kvcache.Encoding;
import io.kvcache.Fidelity;
import io.kvcache.KvHalf;
import io.kvcache.KvLayout;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.MalformedDataException;
import io.kvcache.spi.VariantClass;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Parts whose checksums are right but that are not the ones asked for, or lie about lengths. */
class FrameForgeryTest {
  private static final long[] HOSTILE = {-1, 0, 1, 63, Integer.MAX_VALUE, 1L << 31, (1L << 32) - 1, 1L << 40,
    Long.MAX_VALUE, Long.MAX_VALUE - 63, Long.MIN_VALUE};
  /** More than loading the classes of a formatted message takes, much less than a hostile length. */
  private static final long MOST_ALLOCATED = 4 << 20;
  private static final KvLayout TWO_GROUPS = KvLayout.uniform(2, 64, 256, DType.F32).withChunkTokens(16);

  private static final TrimCodec LOSSY = new TrimCodec(201, new Fidelity.Quantized(4));

  private final FramePlan plan = Frames.plan(Frames.EXAMPLE_LAYOUT);
  private final Codecs codecs = new Codecs(List.of(TrimCodec.EXACT, LOSSY), Frames.EXAMPLE_LAYOUT);
  private final byte[] header = Frames.example().get(0);
  private final byte[] group = Frames.example().get(1);

  private static long allocatedBytes() {
    return ((com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean())
        .getCurrentThreadAllocatedBytes();
  }

  private String refusal(byte[] headerRead, byte[] groupRead) {
    long before = allocatedBytes();
    MalformedDataException refused = assertThrows(MalformedDataException.class, () -> {
      FrameReader reader =
          Frames.open(plan, codecs, headerRead, Frames.exampleId(), Frames.EXAMPLE_GENERATION);
      Frames.read(reader, List.of(headerRead, groupRead));
    });
    long allocated = allocatedBytes() - before;
    assertTrue(allocated < MOST_ALLOCATED, allocated + " bytes allocated: " + refused.getMessage());
    return refused.getMessage();
  }

  private byte[] patched(byte[] part, int at, int bytes, long value) {
    byte[] forged = part.clone();
    for (int i = 0; i < bytes; i++) {
      forged[at + i] = (byte) (value >>> 8 * i);
    }
    return forged;
  }

  private static long field(byte[] part, int at, int bytes) {
    long value = 0;
    for (int i = bytes - 1; i >= 0; i--) {
      value = value << 8 | part[at + i] & 0xff;
    }
    return value;
  }

  /** Goal: no length, count or index is believed. Method: hostile values in each, checksums made right again. */
  @Test
  void hostileLengthsAreRefusedWithoutAllocating() {
    int[][] headerFields =
        {{48, 8}, {168, 4}, {176, 4}, {180, 4}, {256, 4}, {260, 4}, {264, 8}, {272, 8}, {288, 8}, {304, 8},
          {320, 8}};
    refusal(patched(header, 0, 1, 0), group);
    for (int[] field : headerFields) {
      for (long value : hostileInsteadOf(field(header, field[0], field[1]), field[1])) {
        byte[] forged = patched(header, field[0], field[1], value);
        Frames.sealHeader(forged);
        refusal(forged, group);
      }
    }
    for (long value : hostileInsteadOf(group.length, 8)) {
      byte[] forged = patched(group, 48, 8, value);
      Frames.sealPreamble(forged);
      refusal(header, forged);
    }
  }

  private static List<Long> hostileInsteadOf(long right, int bytes) {
    long mask = bytes == 8 ? -1 : (1L << 8 * bytes) - 1;
    List<Long> values = new ArrayList<>();
    for (long value : HOSTILE) {
      values.add(value & mask);
    }
    values.add(right - 1 & mask);
    values.add(right + 1 & mask);
    values.removeIf(value -> value == right);
    return values;
  }

  /** Goal: lengths that agree with each other are still held against what the encoding can make. */
  @Test
  void longHalfIsRefusedEvenIfThePartIsSaidToBeAsLong() {
    long huge = 1L << 40;
    byte[] forged = patched(patched(header, 304, 8, huge), 264, 8, 192 + huge);
    Frames.sealHeader(forged);
    assertEquals("KEYS of layer 1 have 1099511627776 bytes, more or fewer than raw makes of 48",
        refusal(forged, group));
    byte[] trimmed = patched(forged, 56, 2, TrimCodec.EXACT.codec());
    Frames.sealHeader(trimmed);
    assertEquals("KEYS of layer 1 have 1099511627776 bytes, more or fewer than trim makes of 48",
        refusal(trimmed, group));
  }

  /** Goal: what this version does not know is a miss, with a message that says what it was. */
  @Test
  void whatIsNotKnownIsRefused() {
    assertEquals("format version is 2, expected 1", refusal(patched(header, 4, 1, 2), group));
    assertEquals("format version is 255, expected 1", refusal(header, patched(group, 4, 1, 255)));
    assertEquals("codec 9 is not among [0, 200, 201]", refusalOf(56, 2, 9));
    assertEquals("a FULL frame is encoded by trim", refusalOf(56, 2, LOSSY.codec()));
    assertEquals("dropping method 0 keeps 100 percent uniformly", refusalOf(208, 1, 1));
    assertEquals("kept positions of mode 3 are not known", refusalOf(208, 1, 3));
    assertEquals("kept positions of mode 255 are not known", refusalOf(208, 1, 255));
    assertEquals("authentication 1 is not known", refusalOf(209, 1, 1));
    for (int at = 212; at < 256; at++) {
      if (at < 232 || at >= 236) {
        assertEquals("byte " + at + " of the header is not zero", refusalOf(at, 1, 1));
      }
    }
    assertEquals("a reserved field of the preamble is not zero", refusalOf(58, 2, 1));
    assertEquals("frame has 16 tokens from 8, expected 16", refusalOf(160, 8, 8));
    assertEquals("frame has another layout", refusalOf(64, 1, 0));
  }

  private String refusalOf(int at, int bytes, long value) {
    byte[] forged = patched(header, at, bytes, value);
    Frames.sealHeader(forged);
    return refusal(forged, group);
  }

  /** A later frame is longer by its sections; that must not be what it is refused for. */
  @Test
  void positionsAndTagsAreRefusedByName() {
    byte[] longer = new byte[header.length + 2];
    System.arraycopy(header, 0, longer, 0, header.length);
    longer[208] = 3;
    longer = patched(longer, 48, 8, longer.length);
    Frames.sealHeader(longer);
    assertEquals("kept positions of mode 3 are not known", refusal(longer, group));
  }

  private record Frame(EntryId id, long generation, int codec, List<byte[]> parts) {}

  /** Frames that differ in one thing each: key, generation, class, encoding, content. */
  private static List<Frame> frames() {
    FramePlan plan = Frames.plan(TWO_GROUPS);
    ChunkKey key = Frames.exampleKeys().get(0);
    ChunkKey other = Frames.exampleKeys().get(1);
    return List.of(
        frame(plan, new RawCodec(), new EntryId(key, VariantClass.FULL), 7, 1),
        frame(plan, new RawCodec(), new EntryId(other, VariantClass.FULL), 7, 1),
        frame(plan, new RawCodec(), new EntryId(key, VariantClass.FULL), 8, 1),
        frame(plan, LOSSY, new EntryId(key, VariantClass.SERVING), 7, 1),
        frame(plan, TrimCodec.EXACT, new EntryId(key, VariantClass.FULL), 7, 1),
        frame(plan, new RawCodec(), new EntryId(key, VariantClass.FULL), 7, 2));
  }

  private static Frame frame(FramePlan plan, Compressor codec, EntryId id, long generation,
      long seed) {
    FrameHeader.Fields fields = FrameHeader.Fields.original(id, generation, Frames.EXAMPLE_ROOT,
        Frames.EXAMPLE_ROOT, 0, Encoding.of(codec.codec()), codec.parameters(), 0, 0);
    return new Frame(id, generation, codec.codec(),
        Frames.write(plan, codec, fields, Frames.inOrder(Frames.randomHalves(TWO_GROUPS, seed))));
  }

  /** Goal: a part of another frame, or another part of this one, is never taken. Method: every exchange there is. */
  @Test
  void exchangedPartsAreFound() throws MalformedDataException {
    Codecs known = new Codecs(
        List.of(TrimCodec.EXACT, LOSSY), TWO_GROUPS);
    List<Frame> frames = frames();
    for (Frame wanted : frames) {
      FrameReader reader =
          Frames.open(Frames.plan(TWO_GROUPS), known, wanted.parts.get(0), wanted.id, wanted.generation);
      assertEquals(4, Frames.read(reader, wanted.parts).size());
      for (Frame given : frames) {
        for (int number = 1; number < 3; number++) {
          for (int part = 0; part < 3; part++) {
            if (given != wanted || part != number) {
              requireRefused(reader, number, given.parts.get(part));
            }
          }
        }
        requireHeaderRefused(wanted, given);
      }
    }
  }

  private static void requireRefused(FrameReader reader, int number, byte[] part) {
    MemorySegment bytes = MemorySegment.ofArray(part);
    byte[] half = new byte[Math.toIntExact(TWO_GROUPS.chunkBytes() / 4)];
    MemorySegment target = MemorySegment.ofArray(half);
    assertThrows(MalformedDataException.class, () -> reader.verifyPart(bytes, number));
    assertThrows(MalformedDataException.class,
        () -> reader.layer(bytes, number - 1).decode(KvHalf.KEYS, target));
    assertThrows(MalformedDataException.class, () -> reader.layer(bytes, number - 1).stored(KvHalf.VALUES));
  }

  private static void requireHeaderRefused(Frame wanted, Frame given) {
    FramePlan plan = Frames.plan(TWO_GROUPS);
    boolean same = wanted.id.equals(given.id) && wanted.generation == given.generation;
    for (int part = same ? 1 : 0; part < 3; part++) {
      MemorySegment bytes = MemorySegment.ofArray(given.parts.get(part));
      assertThrows(MalformedDataException.class,
          () -> FrameHeader.read(plan, bytes, wanted.id, wanted.generation));
    }
  }

  @Test
  void headerOfAnotherLayoutIsRefused() {
    KvLayout other = Frames.EXAMPLE_LAYOUT.withChunkTokens(32);
    MemorySegment bytes = MemorySegment.ofArray(header);
    MalformedDataException refused = assertThrows(MalformedDataException.class,
        () -> FrameHeader.read(Frames.plan(other), bytes, Frames.exampleId(), Frames.EXAMPLE_GENERATION));
    assertEquals("frame has another layout", refused.getMessage());
    assertArrayEquals(header, bytes.toArray(Wire.BYTE));
  }
}
