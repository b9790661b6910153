package io.kvcache.internal.frame;

import io.kvcache.KvHalf;
import io.kvcache.KvShape;
import io.kvcache.LayerSpec;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.MemorySegment;

/**
 * Reads verified KV out of parts. Every call compares identity and checksum before it gives a byte away; nothing is
 * remembered as verified.
 */
public final class FrameReader {
  private final FrameHeader header;
  private final Codecs codecs;
  private final EntryId id;
  private final long generation;

  /**
   * A reader of the frame with this header.
   *
   * @throws MalformedDataException when the encoding is not known or not as exact as the frame's class says, or a
   *     half is too long for it
   */
  public FrameReader(FrameHeader header, Codecs codecs, EntryId id, long generation)
      throws MalformedDataException {
    codecs.requireFits(header, id.variantClass());
    this.header = header;
    this.codecs = codecs;
    this.id = id;
    this.generation = generation;
  }

  /** The frame's header. */
  public FrameHeader header() {
    return header;
  }

  /** The entry the frame is stored under. */
  public EntryId id() {
    return id;
  }

  /** Whether halves can be used where they lie. */
  public boolean raw() {
    return header.codec() == Codecs.RAW;
  }

  /**
   * Decodes one half into {@code target}.
   *
   * @param part the part that holds {@code layer}
   * @param target exactly the half's uncompressed bytes; none for a half without elements
   * @return stored bytes read
   * @throws MalformedDataException when the bytes are not those that were stored; the target is then undefined
   */
  public long decode(MemorySegment part, int layer, KvHalf half, MemorySegment target)
      throws MalformedDataException {
    MemorySegment stored = locate(part, layer, half);
    if (stored.byteSize() == 0) {
      return 0;
    }
    LayerSpec spec = header.plan().layout().layer(layer);
    KvShape shape = spec.shape(half, header.plan().layout().chunkTokens());
    int expected = header.halves().storedCrc(layer, half);
    if (raw()) {
      requireCrc(Checksums.copy(stored, target), expected, layer, half);
    } else {
      requireCrc(Checksums.crc(stored), expected, layer, half);
      codecs.decode(header, shape, stored, target);
    }
    return stored.byteSize();
  }

  /** One half as it is stored, verified. */
  public MemorySegment stored(MemorySegment part, int layer, KvHalf half) throws MalformedDataException {
    MemorySegment stored = locate(part, layer, half);
    if (stored.byteSize() > 0) {
      requireCrc(Checksums.crc(stored), header.halves().storedCrc(layer, half), layer, half);
    }
    return stored;
  }

  /** Verifies everything a group's part holds but the zeros between halves; returns its length. */
  public long verifyPart(MemorySegment part, int number) throws MalformedDataException {
    int first = header.plan().firstLayer(number - 1);
    for (int layer = first; layer < first + header.plan().layersOf(number - 1); layer++) {
      stored(part, layer, KvHalf.KEYS);
      stored(part, layer, KvHalf.VALUES);
    }
    return header.partBytes(number);
  }

  private MemorySegment locate(MemorySegment part, int layer, KvHalf half) throws MalformedDataException {
    int number = header.plan().partOf(layer);
    long length = Preamble.verify(part, id, generation, number);
    Preamble.require(length == header.partBytes(number) && Preamble.codec(part) == header.codec(),
        "part %d has %d bytes of codec %d, expected %d of codec %d", number, length, Preamble.codec(part),
        header.partBytes(number), header.codec());
    long stored = header.halves().storedBytes(layer, half);
    return part.asSlice(stored == 0 ? 0 : header.offset(layer, half), stored);
  }

  private static void requireCrc(int computed, int expected, int layer, KvHalf half)
      throws MalformedDataException {
    Preamble.require(computed == expected, "checksum of the %s of layer %d is %08x, expected %08x", half,
        layer,
        computed, expected);
  }
}
