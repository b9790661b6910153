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

  /** A reader of the frame with this header. */
  public FrameReader(FrameHeader header, Codecs codecs, EntryId id, long generation) {
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
    int expected = header.crc(layer, half);
    if (raw()) {
      Preamble.require(stored.byteSize() == shape.bytes(), "raw half has %d bytes, expected %d",
          stored.byteSize(), shape.bytes());
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
      requireCrc(Checksums.crc(stored), header.crc(layer, half), layer, half);
    }
    return stored;
  }

  /** Verifies everything a part holds; returns its length. */
  public long verifyPart(MemorySegment part, int number) throws MalformedDataException {
    long length = Preamble.verify(part, id, generation, number);
    Preamble.require(length == header.partBytes(number), "part %d has %d bytes, expected %d", number, length,
        header.partBytes(number));
    int group = number - 1;
    int first = header.plan().firstLayer(group);
    for (int layer = first; layer < first + header.plan().layersOf(group); layer++) {
      stored(part, layer, KvHalf.KEYS);
      stored(part, layer, KvHalf.VALUES);
    }
    return length;
  }

  private MemorySegment locate(MemorySegment part, int layer, KvHalf half) throws MalformedDataException {
    int number = header.plan().partOf(layer);
    long length = Preamble.verify(part, id, generation, number);
    Preamble.require(length == header.partBytes(number), "part %d has %d bytes, expected %d", number, length,
        header.partBytes(number));
    return part.asSlice(header.offset(layer, half), header.storedBytes(layer, half));
  }

  private static void requireCrc(int computed, int expected, int layer, KvHalf half)
      throws MalformedDataException {
    Preamble.require(computed == expected, "checksum of the %s of layer %d is %08x, expected %08x", half,
        layer,
        computed, expected);
  }
}
