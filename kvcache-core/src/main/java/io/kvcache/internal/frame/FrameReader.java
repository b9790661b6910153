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

  /** Whether halves can be used where they lie. */
  public boolean raw() {
    return header.codec() == Codecs.RAW;
  }

  /**
   * Looks at one layer.
   *
   * @param part the part that holds it
   * @throws MalformedDataException when that is not just this part of just this frame
   */
  public Layer layer(MemorySegment part, int layer) throws MalformedDataException {
    int number = header.plan().partOf(layer);
    long length = Preamble.verify(part, id, generation, number);
    if (length != header.partBytes(number) || Preamble.codec(part) != header.codec()) {
      throw new MalformedDataException("part " + number + " has " + length + " bytes of codec "
          + Preamble.codec(part) + ", expected " + header.partBytes(number) + " of codec " + header.codec());
    }
    return new Layer(part, layer);
  }

  /** Verifies everything a group's part holds but the zeros between halves; returns its length. */
  public long verifyPart(MemorySegment part, int number) throws MalformedDataException {
    int first = header.plan().firstLayer(number - 1);
    for (int at = first; at < first + header.plan().layersOf(number - 1); at++) {
      Layer layer = layer(part, at);
      layer.stored(KvHalf.KEYS);
      layer.stored(KvHalf.VALUES);
    }
    return header.partBytes(number);
  }

  /** One layer in a part whose identity was compared. */
  public final class Layer {
    private final MemorySegment part;
    private final int layer;

    private Layer(MemorySegment part, int layer) {
      this.part = part;
      this.layer = layer;
    }

    /**
     * Decodes one half into {@code target}.
     *
     * @param target exactly the half's uncompressed bytes; none for a half without elements
     * @throws MalformedDataException when the bytes are not those that were stored; the target is then undefined
     */
    public void decode(KvHalf half, MemorySegment target) throws MalformedDataException {
      MemorySegment stored = locate(half);
      if (stored.byteSize() == 0) {
        return;
      }
      if (raw()) {
        requireCrc(Checksums.copy(stored, target), half);
      } else {
        requireCrc(Checksums.crc(stored), half);
        LayerSpec spec = header.plan().layout().layer(layer);
        KvShape shape = spec.shape(half, header.plan().layout().chunkTokens());
        codecs.decode(header, shape, stored, target);
      }
    }

    /** Bytes of both halves as they are stored. */
    public long storedBytes() {
      return header.halves().storedBytes(layer, KvHalf.KEYS)
          + header.halves().storedBytes(layer, KvHalf.VALUES);
    }

    /** One half as it is stored, verified. */
    public MemorySegment stored(KvHalf half) throws MalformedDataException {
      MemorySegment stored = locate(half);
      if (stored.byteSize() > 0) {
        requireCrc(Checksums.crc(stored), half);
      }
      return stored;
    }

    private MemorySegment locate(KvHalf half) {
      long stored = header.halves().storedBytes(layer, half);
      return part.asSlice(stored == 0 ? 0 : header.offset(layer, half), stored);
    }

    private void requireCrc(int computed, KvHalf half) throws MalformedDataException {
      int expected = header.halves().storedCrc(layer, half);
      if (computed != expected) {
        throw new MalformedDataException("checksum of the %s of layer %d is %08x, expected %08x"
            .formatted(half, layer, computed, expected));
      }
    }
  }
}
